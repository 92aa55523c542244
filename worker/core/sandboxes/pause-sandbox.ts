import type { Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Context } from '../ports.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { pausedBy } from './paused-by.ts';

export interface PausedSandbox {
  sandbox: Sandbox;
  /** Whether processes go on where they were, and whether their memory was given back to the node. */
  memoryKept: boolean;
  memoryFreed: boolean;
}

/**
 * `memory`: processes go on where they were when it is resumed; else they are ended, only files are kept, and it begins anew with
 * them. Throws not_found, sandbox_not_running, sandbox_ended, conflict, or what the runner answered.
 */
export const pauseSandbox = async (ctx: Context, sandboxId: string, memory: boolean): Promise<PausedSandbox> => {
  const row = await openJob(ctx, sandboxId, 'pause', { memoryKept: memory });
  const outcome = await ctx.broker
    .lifecycle('sandbox.pause', runnerOf(row), { ...envelopeOf(ctx, row), memory }, limits.lifecycleJobMs)
    .catch((error: unknown) => abandonJob(ctx, row, 'pause', error));
  const paused = pausedBy(outcome, ctx.now());
  const sandbox = await closeJob(ctx, row, 'pause', paused, { kind: 'paused', message: 'Paused.' });
  return { sandbox, memoryKept: paused.memoryKept, memoryFreed: paused.memoryFreed };
};
