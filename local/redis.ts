import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { KeptChild } from './child.ts';
import type { Progress } from './command.ts';

const READY_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 5_000;
const POLL_MS = 20;

export interface RedisService {
  url: string;
  pid: number | undefined;
  /** Both keep port and password; what Redis held is gone after a stop (see writeConfig). */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface RedisOptions {
  dataDir: string;
  password: string;
  progress: Progress;
}

/** Starts a Redis of our own: a free port on the loopback addresses, a password, nothing on disk but its log. */
export async function startRedis(options: RedisOptions): Promise<RedisService> {
  const folder = join(options.dataDir, 'redis');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const port = await findFreePort();
  const url = `redis://default:${options.password}@127.0.0.1:${port}`;
  const config = await writeConfig(folder, port, options.password);
  const child = new KeptChild({
    name: 'Redis',
    file: 'redis-server',
    args: [config],
    env: { PATH: process.env['PATH'] },
    logFile: join(options.dataDir, 'redis.log'),
    stopDeadlineMs: STOP_DEADLINE_MS,
    progress: options.progress,
    waitUntilReady: (gone) => waitUntilReady(url, gone),
  });
  await child.start();
  return {
    url,
    get pid() {
      return child.pid;
    },
    stop: () => child.stop(),
    start: () => child.start(),
  };
}

/** Redis given by REDIS_URL: checked, and otherwise left alone. */
export async function checkRedis(url: string): Promise<void> {
  const policy = await withClient(url, async (client) => {
    await client.ping();
    return client.config('GET', 'maxmemory-policy').catch((): string[] => []);
  }).catch((error: unknown) => {
    throw new Error(`the Redis at REDIS_URL does not answer: ${(error as Error).message}`);
  });
  if (policy[1] !== undefined && policy[1] !== 'noeviction') {
    throw new Error(`the Redis at REDIS_URL evicts keys (maxmemory-policy ${policy[1]}): set it to noeviction`);
  }
}

/**
 * Redis only delivers: D1 is the state of record, sweeps send again what was lost. So nothing is written to disk, where
 * tenants' output would otherwise stay. The users that the control plane makes for runners are kept over a restart if
 * it says ACL SAVE, and made anew with each start of the installation.
 */
async function writeConfig(folder: string, port: number, password: string): Promise<string> {
  const users = join(folder, 'users.acl');
  await rm(users, { force: true });
  await writeFile(users, `user default on >${password} ~* &* +@all\n`, { mode: 0o600 });
  const path = join(folder, 'redis.conf');
  const settings = [
    `port ${port}`,
    'bind 127.0.0.1 -::1',
    'protected-mode yes',
    `aclfile "${users}"`,
    `dir "${folder}"`,
    'save ""',
    'appendonly no',
    'maxmemory-policy noeviction',
    'daemonize no',
    'tcp-backlog 511',
    'databases 1',
  ];
  await writeFile(path, `${settings.join('\n')}\n`, { mode: 0o600 });
  return path;
}

async function waitUntilReady(url: string, gone: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + READY_DEADLINE_MS;
  for (;;) {
    gone.throwIfAborted();
    const ready = await withClient(url, (client) => client.ping()).then(
      () => true,
      () => false,
    );
    if (ready) return;
    if (performance.now() > giveUpAt) throw new Error(`it does not answer within ${READY_DEADLINE_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

async function withClient<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: READY_DEADLINE_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    client.disconnect();
  }
}

/** A port that nothing listens on now. */
export function findFreePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('no free port'));
      });
    });
  });
}
