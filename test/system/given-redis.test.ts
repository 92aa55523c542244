import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Installation } from '../../local/installation.ts';
import { createTenant } from '../installation.ts';
import { startTestRedis, type TestRedis } from '../runner/support/redis-server.ts';
import { startTestInstallation } from '../start-installation.ts';
import { run } from '../trouble/sandbox-commands.ts';

let redis: TestRedis;
let installation: Installation | undefined;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(async () => {
  await installation?.stop();
  await redis.close();
});

test('with REDIS_URL that Redis is used, none is started, and it runs on afterwards without the runner’s user and lease', async () => {
  installation = await startTestInstallation({ redisUrl: redis.url });
  expect(installation.redis.pid).toBeUndefined();
  const tenant = await createTenant({}, installation);
  const { id } = await tenant.createSandbox();
  expect(await run(tenant, id, 'echo through it')).toBe('through it\n');
  expect(await redis.client().keys('lease-*')).toHaveLength(1);
  await installation.stop();
  installation = undefined;
  expect(await redis.client().acl('USERS')).toEqual(['default']);
  expect(await redis.client().keys('lease-*')).toEqual([]);
});

test('a Redis that evicts keys is refused in a sentence, and nothing is left running', async () => {
  await redis.client().config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect(startTestInstallation({ redisUrl: redis.url })).rejects.toThrow(/set it to noeviction/);
});
