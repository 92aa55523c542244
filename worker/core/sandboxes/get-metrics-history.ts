import type { UsageSample } from '../../../runner/protocol/usage.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { refusalOf } from '../sandbox-state.ts';
import { getSandbox } from './get-sandbox.ts';
import { sandboxRefOf } from './sandbox-ref.ts';

export interface MetricsRange {
  /** Unix milliseconds, both included. Absent: from the first on, to the last. */
  startMs?: number | undefined;
  endMs?: number | undefined;
  /** The latest so many of the range. */
  limit?: number | undefined;
}

/**
 * What a sandbox has used, oldest first: a sample every five seconds, of the last hour at most, none from while it was paused or from
 * before its runner was last started. Throws not_found, invalid_argument, sandbox_ended, or what the runner answered.
 */
export const getMetricsHistory = async (
  ctx: Context,
  sandboxId: string,
  range: MetricsRange,
): Promise<UsageSample[]> => {
  const query = {
    startMs: range.startMs ?? 0,
    endMs: range.endMs ?? Number.MAX_SAFE_INTEGER,
    limit: range.limit ?? limits.usageSamples,
  };
  if (query.endMs < query.startMs) throw new ServiceError('invalid_argument', 'The range ends before it begins.');
  const row = await getSandbox(ctx, sandboxId);
  if (row.state === 'ended' || row.openJob === 'kill') throw refusalOf('metadata', row);
  if (row.runnerId === null || row.state === 'creating') return [];
  return ctx.broker.usage(sandboxRefOf(ctx, row.id), { runnerId: row.runnerId, epoch: row.epoch }, query);
};
