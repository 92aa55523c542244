import { and, eq, ne } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { ServiceError, type ErrorCode } from '../errors.ts';
import type { Context } from '../ports.ts';
import { changeSandbox } from './change-sandbox.ts';
import { getSandbox } from './get-sandbox.ts';
import { envelopeOf, openJob } from './open-job.ts';
import { publishRoute } from './route.ts';

/** Beyond the grace: how long a caller waits for the container to be gone before it is told that it is ending. */
const removalMs = 15_000;

/** The kill is on record, so these mean «later»: the sweep delivers it again. */
const later: readonly ErrorCode[] = ['not_started', 'unavailable', 'runner_lost', 'stream_lost', 'deadline_exceeded'];

/**
 * Accepted in every state; supersedes the open job, a create among them. Answers the sandbox: ended, or ending where its runner is
 * away. One that has ended already is answered as it is. Throws not_found.
 */
export const endSandbox = async (
  ctx: Context,
  sandboxId: string,
  graceSeconds: number,
  reason: 'killed' | 'timeout' = 'killed',
): Promise<Sandbox> => {
  try {
    return await killSandbox(ctx, sandboxId, graceSeconds, reason);
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'sandbox_ended') return getSandbox(ctx, sandboxId);
    throw error;
  }
};

/** As endSandbox, but one that has ended already is refused with sandbox_ended. */
export const killSandbox = async (
  ctx: Context,
  sandboxId: string,
  graceSeconds: number,
  reason: 'killed' | 'timeout' = 'killed',
): Promise<Sandbox> => {
  const opened = await openJob(ctx, sandboxId, 'kill');
  if (opened.runnerId === null) return recordEnd(ctx, opened, reason);
  // It goes on when the client does not wait.
  const work = deliver(ctx, opened, opened.runnerId, graceSeconds * 1000, reason);
  ctx.after(work.then(noop, noop));
  return work;
};

const noop = (): void => undefined;

const deliver = async (
  ctx: Context,
  row: Sandbox,
  runnerId: string,
  graceMs: number,
  reason: 'killed' | 'timeout',
): Promise<Sandbox> => {
  const job = { ...envelopeOf(ctx, row), graceMs };
  try {
    await ctx.broker.lifecycle('sandbox.kill', runnerId, job, graceMs + removalMs);
  } catch (error) {
    // A kill that came after this one has taken over.
    const superseded = error instanceof ServiceError && error.code === 'conflict';
    if (superseded || (error instanceof ServiceError && later.includes(error.code))) return getSandbox(ctx, row.id);
    if (!(error instanceof ServiceError && error.code === 'sandbox_ended')) throw error;
  }
  return recordEnd(ctx, row, reason);
};

/** An end with the right epoch holds whatever the revision. */
const recordEnd = async (ctx: Context, row: Sandbox, reason: 'killed' | 'timeout'): Promise<Sandbox> => {
  const ended = await changeSandbox(ctx, {
    sandboxId: row.id,
    when: and(eq(sandboxes.epoch, row.epoch), ne(sandboxes.state, 'ended')),
    set: {
      state: 'ended',
      endReason: reason,
      endedAtMs: ctx.now(),
      openJob: null,
      openJobDeadlineMs: null,
      env: {},
    },
    event: { kind: 'ended', message: reason === 'killed' ? 'Ended by request.' : 'Its time was set to be up.' },
  });
  if (!ended) return getSandbox(ctx, row.id);
  await Promise.all([publishRoute(ctx, ended), freePlace(ctx, ended)]);
  return ended;
};

/** Who is told that a sandbox has ended may make another at once, on a full node too. */
const freePlace = async (ctx: Context, ended: Sandbox): Promise<void> => {
  try {
    await ctx.fleet.release(ended.id);
  } catch (error) {
    ctx.log('warn', 'a place is free only with the next heartbeat', error);
  }
};
