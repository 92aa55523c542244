import { sql } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { allows, refusalOf } from '../sandbox-state.ts';
import { getSandbox } from './get-sandbox.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { recordPause } from './record-pause.ts';
import { requireTimeout } from './require-timeout.ts';

/** Of a try that a later deadline took over before the runner had applied it. */
export const attemptsCount = 8;
export const tooManyDeadlines = (): ServiceError =>
  new ServiceError('conflict', 'Too many deadlines were set at once; try again.');

/**
 * timeoutSeconds from now at least: a deadline that is later stays as it is. Throws not_found, sandbox_not_running, sandbox_ended,
 * conflict, or what the runner answered.
 */
export const extendDeadline = async (ctx: Context, sandboxId: string, timeoutSeconds: number): Promise<Sandbox> => {
  requireTimeout(ctx, timeoutSeconds);
  const ttlMs = timeoutSeconds * 1000;
  const untilMs = ctx.now() + ttlMs;
  for (let attempt = 1; ; attempt += 1) {
    const row = await getSandbox(ctx, sandboxId);
    if (!allows('deadline', row)) throw refusalOf('deadline', row);
    // The record's deadline is a lower bound: nothing is to be done where it suffices.
    if (row.expiresAtMs !== null && row.expiresAtMs >= untilMs) return row;
    const extended = await extend(ctx, row, ttlMs);
    if (extended) return extended;
    if (attempt === attemptsCount) throw tooManyDeadlines();
  }
};

/** undefined: another deadline came in between and this one was not applied. */
const extend = async (ctx: Context, { id }: Sandbox, ttlMs: number): Promise<Sandbox | undefined> => {
  const row = await openJob(ctx, id, 'deadline');
  const job = { ...envelopeOf(ctx, row), ttlMs, onlyExtend: true };
  try {
    const outcome = await ctx.broker.lifecycle('sandbox.deadline', runnerOf(row), job, limits.lifecycleJobMs);
    if (outcome.state === 'paused') throw refusalOf('deadline', await recordPause(ctx, row, outcome));
    const event = { kind: 'deadline', message: `The timeout is at least ${ttlMs / 1000} seconds from now.` } as const;
    const set = { expiresAtMs: outcome.expiresAtMs, ttlMs: sql`max(${sandboxes.ttlMs}, ${ttlMs})` };
    return await closeJob(ctx, row, 'deadline', set, event);
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'conflict') return undefined;
    return abandonJob(ctx, row, 'deadline', error);
  }
};
