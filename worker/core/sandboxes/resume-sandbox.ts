import type { Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Context } from '../ports.ts';
import { getSandbox } from './get-sandbox.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { resumedBy } from './paused-by.ts';
import { memoryFits } from './quota.ts';
import { requireTimeout } from './require-timeout.ts';

/**
 * Runs on for timeoutSeconds from now; absent: the timeout that it had. Throws not_found, conflict, sandbox_ended, quota_exceeded where
 * its memory was given back and the tenant has used it meanwhile, or what the runner answered, and it stays paused then. `memory` false:
 * processes that its pause has kept do not go on; it begins anew with its files.
 */
export const resumeSandbox = async (
  ctx: Context,
  sandboxId: string,
  timeoutSeconds: number | undefined,
  memory = true,
): Promise<Sandbox> => {
  if (timeoutSeconds !== undefined) requireTimeout(ctx, timeoutSeconds);
  const ttl = timeoutSeconds === undefined ? {} : { ttlMs: timeoutSeconds * 1000 };
  const before = memory ? undefined : await getSandbox(ctx, sandboxId);
  // On record from the start: where the answer is lost, the sweep delivers what is on record.
  const dropped = memory ? {} : { memoryKept: false };
  const row = await openJob(ctx, sandboxId, 'resume', { ...ttl, ...dropped }, memoryFits(ctx));
  const job = { ...envelopeOf(ctx, row), ttlMs: row.ttlMs, memory };
  const outcome = await ctx.broker
    .lifecycle('sandbox.resume', runnerOf(row), job, limits.lifecycleJobMs)
    .catch((error: unknown) =>
      abandonJob(ctx, row, 'resume', error, before === undefined ? {} : { memoryKept: before.memoryKept }),
    );
  const message = resumedMessage(memory, row.memoryKept === true && outcome.memoryKept === false);
  return closeJob(ctx, row, 'resume', resumedBy(outcome), { kind: 'resumed', message });
};

const resumedMessage = (memory: boolean, lost: boolean): string => {
  if (!memory) return 'Resumed with its files only, as asked.';
  return lost ? 'Resumed with its files only: its processes could not be brought back.' : 'Resumed.';
};
