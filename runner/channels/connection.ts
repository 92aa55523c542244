import { Redis } from 'ioredis';
import type { Logger } from '../log.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 1_000;

/** The life of a connection is the runner's: it reconnects for ever, at most RECONNECT_MAX_MS apart. */
const reconnectDelayMs = (attempt: number): number =>
  Math.min(RECONNECT_FIRST_MS * 2 ** Math.min(attempt, 10), RECONNECT_MAX_MS);

/**
 * `prompt`: a command that can't be sent now, or whose answer is lost with its connection, is rejected at once, and its caller decides.
 * `patient`: commands wait for the reconnect and are sent again (what BullMQ's worker expects).
 */
export function connectRedis(
  url: string,
  name: string,
  kind: 'prompt' | 'patient',
  parts: { log: Logger; onDenied: () => void },
): Redis {
  const { log, onDenied } = parts;
  const redis = new Redis(url, {
    connectionName: name,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: reconnectDelayMs,
    // RESP2 keeps one shape of XREAD's reply, whatever ioredis's default becomes.
    protocol: 2,
    // Without the 0, ioredis neither sends again nor rejects what was under way when the connection broke: it would hang.
    ...(kind === 'prompt'
      ? { enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 }
      : { maxRetriesPerRequest: null }),
  });
  let lastCause = '';
  redis.on('error', (error: Error) => {
    // A restarted Redis has forgotten its users.
    if (/^(WRONGPASS|NOAUTH)/.test(error.message)) onDenied();
    if (error.message === lastCause) return; // one line an outage, not one an attempt
    lastCause = error.message;
    log.warn('redis_unavailable', { connection: name, cause: error.message });
  });
  redis.on('ready', () => {
    if (lastCause !== '') log.info('redis_back', { connection: name });
    lastCause = '';
  });
  return redis;
}

/** Resolves once commands are taken; rejects after `timeoutMs`. */
export async function whenReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      redis.off('ready', onReady);
      reject(new Error(`Redis did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const onReady = () => {
      clearTimeout(timer);
      resolve();
    };
    redis.once('ready', onReady);
  });
}

/** Replies of a raw command are untyped: this is the one place that says what was asked for. */
export async function send<T>(redis: Redis, command: string, ...args: (string | number | Buffer)[]): Promise<T> {
  return (await redis.callBuffer(command, ...args)) as T;
}
