import type { Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Context } from '../ports.ts';

/** A runner that is away does not hold the caller up for longer. */
const patienceMs = 2_000;
/** Asked at once; the rest of a page is read as it is on record. */
const sandboxesCount = 32;

/**
 * Runners report what ran with their heartbeats. Those of sandboxes that may have run something since the last one are asked to do it
 * now, so that an exec is in the history as soon as it was answered. What cannot be had in time is left to the next heartbeat.
 */
export const awaitReports = async (ctx: Context, rows: readonly Sandbox[]): Promise<void> => {
  const asked = rows.filter((row) => mayHaveNews(row, ctx.now())).slice(0, sandboxesCount);
  if (asked.length === 0) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
  });
  const reports = Promise.all(asked.map((row) => report(ctx, row)));
  ctx.after(reports);
  await Promise.race([reports, late]);
  clearTimeout(timer);
};

/** What has ended a while ago had its last report. */
const mayHaveNews = ({ state, endedAtMs }: Sandbox, nowMs: number): boolean =>
  state === 'running' || state === 'paused' || (state === 'ended' && (endedAtMs ?? 0) > nowMs - 3 * limits.heartbeatMs);

const report = async (ctx: Context, { id, tenantId, runnerId, epoch }: Sandbox): Promise<void> => {
  if (runnerId === null) return;
  try {
    await ctx.broker.reportHistory({ tenantId, sandboxId: id, requestId: ctx.requestId }, { runnerId, epoch });
  } catch (error) {
    ctx.log('warn', 'a history is read without what its runner has not reported yet', error);
  }
};
