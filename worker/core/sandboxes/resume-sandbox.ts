import type { Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Context } from '../ports.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { resumedBy } from './paused-by.ts';
import { memoryFits } from './quota.ts';
import { requireTimeout } from './require-timeout.ts';

/**
 * Runs on for timeoutSeconds from now; absent: the timeout that it had. Throws not_found, conflict, sandbox_ended, quota_exceeded where
 * its memory was given back and the tenant has used it meanwhile, or what the runner answered, and it stays paused then.
 */
export const resumeSandbox = async (
  ctx: Context,
  sandboxId: string,
  timeoutSeconds: number | undefined,
): Promise<Sandbox> => {
  if (timeoutSeconds !== undefined) requireTimeout(ctx, timeoutSeconds);
  const ttl = timeoutSeconds === undefined ? {} : { ttlMs: timeoutSeconds * 1000 };
  const row = await openJob(ctx, sandboxId, 'resume', ttl, memoryFits(ctx));
  const job = { ...envelopeOf(ctx, row), ttlMs: row.ttlMs };
  const outcome = await ctx.broker
    .lifecycle('sandbox.resume', runnerOf(row), job, limits.lifecycleJobMs)
    .catch((error: unknown) => abandonJob(ctx, row, 'resume', error));
  const lost = row.memoryKept === true && outcome.memoryKept === false;
  const message = lost ? 'Resumed with its files only: its processes could not be brought back.' : 'Resumed.';
  return closeJob(ctx, row, 'resume', resumedBy(outcome), { kind: 'resumed', message });
};
