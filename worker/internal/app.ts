import { Hono } from 'hono';
import type { z } from 'zod';
import { openCell } from '../../db/client.ts';
import { runners } from '../../db/cell.ts';
import { eq } from 'drizzle-orm';
import { heartbeat, joinRequest } from '../../runner/protocol/node-report.ts';
import { Brokers } from '../adapters/broker-stub.ts';
import { fleetStub } from '../adapters/fleet.ts';
import { joinSocket } from '../adapters/socket-joins.ts';
import { receiveTransfer, sendTransfer, transferStub } from '../adapters/transfers.ts';
import { describeCause } from '../core/describe-cause.ts';
import { ServiceError } from '../core/errors.ts';
import { Keyring } from '../core/keys/keyring.ts';
import { unwrap } from '../durable/broker/outcome.ts';
import type { Env, Settings } from '../env.ts';
import { joinRunner } from './join.ts';
import { readBounded } from './read-bounded.ts';
import { bearerOf, equalSecrets, RunnerCredentials, unauthenticated } from './runner-credentials.ts';

const JOIN_BYTES = 1024 * 1024;
const HEARTBEAT_BYTES = 4 * 1024 * 1024;

/** What runners call. Nobody else is let in: a join token admits, a runner's own secret is asked for everything else. */
export const createInternalApp = (env: Env, settings: Settings): Hono => {
  const app = new Hono().basePath('/internal');
  const db = openCell(env.CELL_DB);
  const credentials = new RunnerCredentials(new Keyring(settings.KEY_PEPPER));
  const brokers = new Brokers(env, settings);
  const ensureUser = async (runnerId: string, password: string) =>
    unwrap(await brokers.at(0).ensureRunnerUser(runnerId, password));

  app.post('/runners/join', async (c) => {
    if (!(await equalSecrets(bearerOf(c.req.raw), settings.RUNNER_JOIN_TOKEN))) throw unauthenticated();
    const request = await parseBody(c.req.raw, joinRequest, JOIN_BYTES);
    const parts = { db, credentials, ensureUser, redisUrl: settings.REDIS_URL, cell: settings.CELL };
    return c.json(await joinRunner(parts, request, Date.now()));
  });

  app.post('/runners/:id/heartbeat', async (c) => {
    const runner = await credentials.authenticate(db, c.req.raw, c.req.param('id'));
    const beat = await parseBody(c.req.raw, heartbeat, HEARTBEAT_BYTES);
    const password = await credentials.redisPassword(runner.id, runner.secretDigest);
    // A Redis that is away must not make the runner look away: the user is made with a later beat.
    const [answer] = await Promise.all([
      fleetStub(env).heartbeat(runner.id, beat),
      ensureUser(runner.id, password).catch(() => undefined),
    ]);
    return c.json(answer);
  });

  app.post('/runners/:id/leave', async (c) => {
    const runner = await credentials.authenticate(db, c.req.raw, c.req.param('id'));
    await db.update(runners).set({ status: 'left', seenAtMs: Date.now() }).where(eq(runners.id, runner.id));
    credentials.forget(runner.id);
    await fleetStub(env).leave(runner.id);
    unwrap(await brokers.at(0).removeRunnerUser(runner.id));
    return c.json({});
  });

  app.get('/transfers/:id{[0-9a-f]{64}}', async (c) => {
    const runner = await credentials.authenticate(db, c.req.raw);
    return receiveTransfer(transferStub(env, c.req.param('id')), 'runner', runner.id);
  });

  app.put('/transfers/:id{[0-9a-f]{64}}', async (c) => {
    const runner = await credentials.authenticate(db, c.req.raw);
    const { body, signal, headers } = c.req.raw;
    const length = headers.get('content-length');
    const outgoing = {
      body: body ?? new Blob([]).stream(),
      contentBytes: length === null ? null : Number(length),
      signal,
    };
    return sendTransfer(transferStub(env, c.req.param('id')), 'runner', runner.id, outgoing);
  });

  app.get('/sockets/:id{[0-9a-f]{64}}', async (c) => {
    const runner = await credentials.authenticate(db, c.req.raw);
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') {
      throw new ServiceError('invalid_argument', 'Ask for a WebSocket here.');
    }
    return joinSocket(env, c.req.param('id'), 'runner', runner.id);
  });

  app.notFound(() => renderError(new ServiceError('not_found', 'There is no such route.')));
  app.onError(renderError);
  return app;
};

const parseBody = async <T extends z.ZodType>(request: Request, schema: T, maxBytes: number): Promise<z.infer<T>> => {
  let value: unknown;
  try {
    value = JSON.parse(await readBounded(request, maxBytes));
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError('invalid_argument', 'The body is not JSON.', { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .slice(0, 10)
    .map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  throw new ServiceError('invalid_argument', 'The body does not have the expected form.', { issues });
};

const renderError = (error: unknown): Response => {
  const known =
    error instanceof ServiceError
      ? error
      : new ServiceError('internal', 'Something went wrong inside.', { cause: error });
  if (known.status >= 500) {
    // oxlint-disable-next-line no-console -- the runtime's log is the console
    console.error(
      JSON.stringify({
        level: 'error',
        message: known.message,
        cause: describeCause(known.cause),
      }),
    );
  }
  const { code, message, issues } = known;
  const headers = new Headers({ 'cache-control': 'no-store' });
  if (known.retryAfterSeconds !== undefined) headers.set('retry-after', String(known.retryAfterSeconds));
  return Response.json({ error: { code, message, ...(issues ? { issues } : {}) } }, { status: known.status, headers });
};
