import { monotonicMs } from '../clock.ts';
import { limits } from '../protocol/limits.ts';
import type { Lanes } from '../sandboxes/lanes.ts';
import { rest } from '../sandboxes/resting.ts';
import { isLive, type Sandbox } from '../sandboxes/sandbox.ts';
import type { HandlerContext } from './handler.ts';

/** One that can't be paused for so long after its time is ended like any other: a snapshot that is under way then has its turn first. */
const PATIENCE_MS = limits.snapshotJobMs + 2 * limits.lifecycleJobMs;

/** At the deadline of a sandbox that is to be paused then: in its turn among the sandbox's jobs, so that none is cut in two. */
export function pauseAtTimeout(context: HandlerContext, lanes: Lanes, sandbox: Sandbox): void {
  const turn = { key: 'timeout', kill: false, limitMs: limits.snapshotJobMs + limits.lifecycleJobMs };
  lanes
    .run(sandbox.id, turn, () => pauseIfDue(context, sandbox))
    .catch((error: unknown) => giveUpOrTryAgain(context, sandbox, error));
}

/** A job that had its turn before may have moved the deadline, paused the sandbox or ended it. */
async function pauseIfDue(context: HandlerContext, sandbox: Sandbox): Promise<void> {
  if (!isLive(sandbox)) return;
  if (sandbox.deadline.expiresAtMs > monotonicMs()) return context.sandboxes.arm(sandbox);
  // Nobody is there to ask again: where processes can't be kept, their files are.
  const memory = sandbox.keepMemory && context.checkpointing.freezes;
  await rest(context, sandbox, sandbox.home, memory);
  context.log.info('sandbox_paused', { sandboxId: sandbox.id, epoch: sandbox.epoch, reason: 'timeout' });
  context.reportSoon();
}

function giveUpOrTryAgain({ sandboxes, log }: HandlerContext, sandbox: Sandbox, cause: unknown): void {
  if (!isLive(sandbox)) return; // it ends, or rests by another's doing
  const error = cause instanceof Error ? cause : new Error(String(cause));
  log.warn('sandbox_pause_failed', { sandboxId: sandbox.id, epoch: sandbox.epoch, error });
  if (monotonicMs() < sandbox.deadline.expiresAtMs + PATIENCE_MS) return sandboxes.armAgain(sandbox);
  sandboxes.end(sandbox, 'timeout').catch(() => undefined); // reported and tried again by the table itself
}
