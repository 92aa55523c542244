import type { Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Context } from '../ports.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { requireTimeout } from './require-timeout.ts';

/** Runs on for timeoutSeconds from now; absent: the timeout that it had. Throws not_found, conflict, sandbox_ended, or the runner's answer. */
export const resumeSandbox = async (
  ctx: Context,
  sandboxId: string,
  timeoutSeconds: number | undefined,
): Promise<Sandbox> => {
  if (timeoutSeconds !== undefined) requireTimeout(ctx, timeoutSeconds);
  const ttl = timeoutSeconds === undefined ? {} : { ttlMs: timeoutSeconds * 1000 };
  const row = await openJob(ctx, sandboxId, 'resume', ttl);
  const job = { ...envelopeOf(ctx, row), ttlMs: row.ttlMs };
  const outcome = await ctx.broker
    .lifecycle('sandbox.resume', runnerOf(row), job, limits.lifecycleJobMs)
    .catch((error: unknown) => abandonJob(ctx, row, 'resume', error));
  const set = { state: 'running', pausedAtMs: null, expiresAtMs: outcome.expiresAtMs };
  return closeJob(ctx, row, 'resume', set, { kind: 'resumed', message: 'Resumed.' });
};
