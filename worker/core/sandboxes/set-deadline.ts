import { sql } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { refusalOf } from '../sandbox-state.ts';
import { expireSandbox } from './expire-sandbox.ts';
import { attemptsCount, tooManyDeadlines } from './extend-deadline.ts';
import { getSandbox } from './get-sandbox.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { recordPause } from './record-pause.ts';
import { requireTimeout } from './require-timeout.ts';

/**
 * timeoutSeconds from now, longer or shorter than before; 0: its time is up. Answers after the runner, who alone keeps the time, has
 * applied it.
 */
export const setDeadline = async (ctx: Context, sandboxId: string, timeoutSeconds: number): Promise<Sandbox> => {
  requireTimeout(ctx, timeoutSeconds);
  if (timeoutSeconds === 0) return expireSandbox(ctx, sandboxId);
  for (let attempt = 1; ; attempt += 1) {
    const changed = await setOnce(ctx, sandboxId, timeoutSeconds);
    if (changed) return changed;
    if (attempt === attemptsCount) throw tooManyDeadlines();
  }
};

/** undefined: another deadline came in between and this one was not applied. If that was an extension, it has built on the one before. */
const setOnce = async (ctx: Context, sandboxId: string, timeoutSeconds: number): Promise<Sandbox | undefined> => {
  const ttlMs = timeoutSeconds * 1000;
  // The record's deadline is a lower bound, so a shorter one is written before it is applied and a longer one after.
  const lower = sql`min(coalesce(${sandboxes.expiresAtMs}, ${ctx.now() + ttlMs}), ${ctx.now() + ttlMs})`;
  const row = await openJob(ctx, sandboxId, 'deadline', { expiresAtMs: lower });
  const job = { ...envelopeOf(ctx, row), ttlMs, onlyExtend: false };
  let applied = false;
  try {
    const outcome = await ctx.broker.lifecycle('sandbox.deadline', runnerOf(row), job, limits.lifecycleJobMs);
    applied = true;
    if (outcome.state === 'paused') throw refusalOf('deadline', await recordPause(ctx, row, outcome));
    const event = { kind: 'deadline', message: `The timeout is ${timeoutSeconds} seconds from now.` } as const;
    return await closeJob(ctx, row, 'deadline', { ttlMs, expiresAtMs: outcome.expiresAtMs }, event);
  } catch (error) {
    if (!(error instanceof ServiceError && error.code === 'conflict')) return abandonJob(ctx, row, 'deadline', error);
    return applied ? supersededBy(ctx, row, error) : undefined;
  }
};

/** A later deadline took over once it was applied, as keep-alives sent at once do: what is on record now answers both. */
const supersededBy = async (ctx: Context, row: Sandbox, conflict: ServiceError): Promise<Sandbox> => {
  const current = await getSandbox(ctx, row.id);
  if (current.state === 'running' && current.revision > row.revision) return current;
  throw conflict;
};
