import { Redis, type RedisOptions } from 'ioredis';
import { DeliveryError } from './ports.ts';

const CONNECT_TIMEOUT_MS = 2_000;

/** A client lives as long as its socket: a lost one is replaced by a new session (redis-session.ts), never revived. */
const options = {
  lazyConnect: true,
  connectTimeout: CONNECT_TIMEOUT_MS,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: null,
  retryStrategy: null,
  // RESP2 keeps one shape of XREAD's reply, whatever ioredis's default becomes.
  protocol: 2,
  disableClientInfo: true,
  enableReadyCheck: false,
} as const satisfies RedisOptions;

/** Connected when it resolves. Whether its answers are late is for the session to watch. */
export const connectClient = async (url: string): Promise<Redis> => {
  const client = new Redis(url, options);
  // An 'error' event without a listener would be thrown; what matters arrives as 'close' and as rejected commands.
  client.on('error', () => undefined);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeliveryError('refused', 'Redis did not answer in time')), CONNECT_TIMEOUT_MS);
  });
  try {
    await Promise.race([client.connect(), late]);
    return client;
  } catch (error) {
    client.disconnect();
    throw new DeliveryError('refused', 'Redis cannot be reached', { cause: error });
  } finally {
    clearTimeout(timer);
  }
};

/** Whether a failed command can have been carried out is all that callers need to know of ioredis's errors. */
export const deliveryError = (cause: unknown): DeliveryError => {
  if (cause instanceof DeliveryError) return cause;
  if (!(cause instanceof Error)) return new DeliveryError('unknown', String(cause));
  const refused = cause.name === 'ReplyError' || cause.message.startsWith("Stream isn't writeable");
  return new DeliveryError(refused ? 'refused' : 'unknown', cause.message, { cause });
};
