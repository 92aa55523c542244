import type { Sandbox } from '../../../db/cell.ts';
import type { RunnerErrorCode } from '../../../runner/protocol/errors.ts';
import { ServiceError, type ErrorCode } from '../errors.ts';
import type { AdminContext, Route } from '../ports.ts';

const routeOf = (row: Sandbox): Route => ({
  tenantId: row.tenantId,
  runnerId: row.runnerId,
  epoch: row.epoch,
  revision: row.revision,
  state: row.state,
  deadlineMode: row.deadlineMode,
});

/** Tells the sandbox's shard what is on record now. The record stands without it: a shard that missed it re-reads after a refusal. */
export const publishRoute = async (ctx: AdminContext, row: Sandbox): Promise<void> => {
  try {
    await ctx.broker.setRoute(row.id, routeOf(row));
  } catch (error) {
    ctx.log('warn', 'a route could not be published to its shard', error);
  }
};

/** After these nobody knows whether the runner did the job; after any other code it is known that it did not. */
const ambiguous: readonly ErrorCode[] = ['runner_lost', 'stream_lost', 'deadline_exceeded', 'unavailable', 'internal'];

export const isAmbiguous = (error: unknown): boolean =>
  !(error instanceof ServiceError) || ambiguous.includes(error.code);

/** Of these the runner does not know, either: it broke off in the middle. */
const unsure: readonly RunnerErrorCode[] = ['internal', 'deadline_exceeded'];

/** The runner's own word that a pause or a resume was not done: the sandbox is as it was before. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof ServiceError && error.runnerCode !== undefined && !unsure.includes(error.runnerCode);
