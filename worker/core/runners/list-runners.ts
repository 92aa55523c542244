import type { AdminContext, RunnerSummary } from '../ports.ts';

/** By id. */
export const listRunners = async (ctx: AdminContext): Promise<RunnerSummary[]> =>
  (await ctx.fleet.runners()).toSorted((a, b) => (a.runnerId < b.runnerId ? -1 : 1));
