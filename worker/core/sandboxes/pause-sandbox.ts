import type { Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Context } from '../ports.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';

export interface PausedSandbox {
  sandbox: Sandbox;
  /** Whether processes go on where they were, and whether their memory was given back to the node. */
  memoryKept: boolean;
  memoryFreed: boolean;
}

/** Throws not_found, sandbox_not_running, sandbox_ended, conflict, or what the runner answered. */
export const pauseSandbox = async (ctx: Context, sandboxId: string): Promise<PausedSandbox> => {
  const row = await openJob(ctx, sandboxId, 'pause');
  const outcome = await ctx.broker
    .lifecycle('sandbox.pause', runnerOf(row), envelopeOf(ctx, row), limits.lifecycleJobMs)
    .catch((error: unknown) => abandonJob(ctx, row, 'pause', error));
  const set = { state: 'paused', pausedAtMs: ctx.now(), expiresAtMs: outcome.expiresAtMs };
  const sandbox = await closeJob(ctx, row, 'pause', set, { kind: 'paused', message: 'Paused.' });
  return { sandbox, memoryKept: outcome.memoryKept ?? false, memoryFreed: outcome.memoryFreed ?? false };
};
