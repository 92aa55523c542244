import { and, eq, sql, type SQL } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import type { EventKind, OpenJob } from '../../../db/enums.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { allows, everyRecord, refusalOf, type Verb } from '../sandbox-state.ts';
import { changeSandbox, type SandboxChange } from './change-sandbox.ts';
import { getSandbox } from './get-sandbox.ts';
import { inRecords } from './in-records.ts';
import { isAmbiguous, isRefusal, publishRoute } from './route.ts';
import { requireSandboxId } from './sandbox-not-found.ts';

/** `allows` as a condition on the tenant's own row. */
export const whenAllowed = (ctx: Context, verb: Verb): SQL | undefined =>
  and(eq(sandboxes.tenantId, ctx.actor.tenant.id), inRecords(everyRecord.filter((record) => allows(verb, record))));

/** Puts a lifecycle job on record, one revision up. Throws not_found, or the refusal where the state does not allow it. */
export const openJob = async (
  ctx: Context,
  sandboxId: string,
  job: Exclude<OpenJob, 'create'>,
  set: SandboxChange['set'] = {},
  /** Beside the state; whoever gives it knows how to say that it does not hold. */
  also?: { when: SQL; refuse: (row: Sandbox) => Promise<ServiceError> },
): Promise<Sandbox> => {
  const opened = await changeSandbox(ctx, {
    sandboxId: requireSandboxId(sandboxId),
    when: and(whenAllowed(ctx, job), also?.when),
    set: {
      ...set,
      openJob: job,
      openJobDeadlineMs: ctx.now() + (job === 'snapshot' ? limits.snapshotJobMs : limits.lifecycleJobMs),
      revision: sql`${sandboxes.revision} + 1`,
    },
  });
  if (opened) return opened;
  const row = await getSandbox(ctx, sandboxId);
  throw also && allows(job, row) ? await also.refuse(row) : refusalOf(job, row);
};

/** The runner of a row that has been placed. */
export const runnerOf = (row: Sandbox): string => {
  if (row.runnerId !== null) return row.runnerId;
  throw new ServiceError('internal', 'The sandbox is on no runner.');
};

/** What every lifecycle job carries. */
export const envelopeOf = (ctx: Context, row: Sandbox) => ({
  sandboxId: row.id,
  tenantId: row.tenantId,
  epoch: row.epoch,
  revision: row.revision,
  requestId: ctx.requestId,
});

/** This very job, not one that superseded it. */
const stillOpen = (row: Sandbox, job: OpenJob): SQL | undefined =>
  and(eq(sandboxes.epoch, row.epoch), eq(sandboxes.revision, row.revision), eq(sandboxes.openJob, job));

/** The runner has done it: recorded, then told to the shard. Where another job has superseded this one, throws conflict. */
export const closeJob = async (
  ctx: Context,
  row: Sandbox,
  job: OpenJob,
  set: SandboxChange['set'],
  event: { kind: EventKind; message: string },
): Promise<Sandbox> => {
  const when = stillOpen(row, job);
  const closed = await changeSandbox(ctx, {
    sandboxId: row.id,
    when,
    set: { ...set, openJob: null, openJobDeadlineMs: null },
    event,
  });
  if (!closed) throw new ServiceError('conflict', 'Another change of the sandbox came in between; read it again.');
  await publishRoute(ctx, closed);
  return closed;
};

/** An engine that failed may have broken off after it had done it: the sweep asks once more. */
const isDefinite = (error: unknown): boolean =>
  isRefusal(error) && !(error instanceof ServiceError && error.runnerCode === 'engine_failed');

/**
 * The job failed. What is known not to have happened leaves the record as it was; pause and resume whose fate is unknown stay open: the
 * sweep delivers them again. What a snapshot took is of no use without its answer. `undo`: what opening it changed. Rethrows.
 */
export const abandonJob = async (
  ctx: Context,
  row: Sandbox,
  job: OpenJob,
  error: unknown,
  undo: SandboxChange['set'] = {},
): Promise<never> => {
  if (!isAmbiguous(error) || isDefinite(error) || job === 'deadline' || job === 'snapshot') {
    await changeSandbox(ctx, {
      sandboxId: row.id,
      when: stillOpen(row, job),
      set: { ...undo, openJob: null, openJobDeadlineMs: null },
    });
  }
  throw error;
};
