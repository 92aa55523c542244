import { sql } from 'drizzle-orm';
import { sandboxes } from '../../../db/cell.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

const shortestStepMs = 5_000;
const stepsCount = 300;
const longestMs = 31 * 86_400_000;
/** Of a question that does not say how far back. */
export const defaultRangeMs = 7 * 86_400_000;

export interface Activity {
  stepMs: number;
  /** One for each step, oldest first; atMs is where it ends. */
  steps: { atMs: number; concurrent: number; started: number }[];
}

interface Change {
  step: number;
  started: number;
  ended: number;
}

/**
 * How many sandboxes the tenant had from startMs on until endMs, paused ones among them, and how many began to run. In steps of equal
 * length, as many as show it well. Throws invalid_argument for a range that is none or longer than 31 days.
 */
export const getActivity = async (ctx: Context, range: { startMs: number; endMs: number }): Promise<Activity> => {
  const { startMs, endMs } = range;
  if (endMs <= startMs) throw new ServiceError('invalid_argument', 'The range must end after it starts.');
  if (endMs - startMs > longestMs) throw new ServiceError('invalid_argument', 'The range has at most 31 days.');
  const stepMs = Math.max(shortestStepMs, Math.ceil((endMs - startMs) / stepsCount));
  const [before, changes] = await Promise.all([countAt(ctx, startMs), changesBetween(ctx, startMs, endMs, stepMs)]);
  const byStep = new Map(changes.map((change) => [change.step, change]));
  let concurrent = before;
  const steps = Array.from({ length: Math.ceil((endMs - startMs) / stepMs) }, (_, step) => {
    const { started, ended } = byStep.get(step) ?? { started: 0, ended: 0 };
    concurrent += started - ended;
    return { atMs: Math.min(startMs + (step + 1) * stepMs, endMs), concurrent, started };
  });
  return { stepMs, steps };
};

const countAt = async (ctx: Context, atMs: number): Promise<number> => {
  const [row] = await ctx.cell.all<{ n: number }>(
    sql`select count(*) as n from ${sandboxes} where ${sandboxes.tenantId} = ${ctx.actor.tenant.id}
      and ${sandboxes.startedAtMs} < ${atMs} and coalesce(${sandboxes.endedAtMs} >= ${atMs}, 1)`,
  );
  return row?.n ?? 0;
};

const changesBetween = (ctx: Context, startMs: number, endMs: number, stepMs: number): Promise<Change[]> => {
  const own = sql`${sandboxes.tenantId} = ${ctx.actor.tenant.id} and ${sandboxes.startedAtMs} is not null`;
  type Time = typeof sandboxes.startedAtMs | typeof sandboxes.endedAtMs;
  // D1 binds every number as a real one, which divides with a remainder.
  const stepOf = (column: Time) => sql`cast((${column} - ${startMs}) / ${stepMs} as integer)`;
  const within = (column: Time) => sql`${own} and ${column} >= ${startMs} and ${column} < ${endMs}`;
  return ctx.cell.all<Change>(
    sql`select step, sum(started) as started, sum(ended) as ended from (
        select ${stepOf(sandboxes.startedAtMs)} as step, 1 as started, 0 as ended
          from ${sandboxes} where ${within(sandboxes.startedAtMs)}
        union all
        select ${stepOf(sandboxes.endedAtMs)}, 0, 1 from ${sandboxes} where ${within(sandboxes.endedAtMs)}
      ) group by step`,
  );
};
