import { afterAll, beforeAll, expect, test } from 'vitest';
import { redisUserName, runnerAclRules } from '../../runner/protocol/redis-acl.ts';
import { hex } from './support/edge.ts';
import { startTestRedis, type TestRedis } from './support/redis-server.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.close());

// That BullMQ and the channels can work under these rules is shown by every other test of this folder.
test('a runner’s Redis user reaches its own queues, streams and lease, adds to out-streams, and can do nothing else', async () => {
  const [own, other, password] = [hex(8), hex(8), hex(16)];
  const admin = redis.client();
  await admin.call('ACL', 'SETUSER', redisUserName(own), ...runnerAclRules(own, password));
  await admin.xadd('out-shard-boot', '*', 'h', '1');
  await admin.set(`bull:x-${other}:1`, 'job');
  await admin.xadd(`in-${other}-boot`, '*', 'h', '1');
  const user = redis.client({ username: redisUserName(own), password });

  const allowed: string[][] = [
    ['SET', `lease-${own}`, 'boot', 'PX', '1000'],
    ['XADD', `in-${own}-boot`, '*', 'h', '1'],
    ['XREAD', 'STREAMS', `in-${own}-boot`, '0-0'],
    ['HSET', `bull:l-${own}:1`, 'a', 'b'],
    ['XADD', 'out-shard-boot', 'NOMKSTREAM', '*', 'h', '2'],
  ];
  for (const [command = '', ...args] of allowed) await user.call(command, ...args);

  const refused: string[][] = [
    ['GET', `bull:x-${other}:1`],
    ['DEL', `bull:x-${other}:1`],
    ['SET', `lease-${other}`, 'boot'],
    ['XREAD', 'STREAMS', `in-${other}-boot`, '0-0'],
    ['XADD', `in-${other}-boot`, '*', 'h', '1'],
    ['XREAD', 'STREAMS', 'out-shard-boot', '0-0'],
    ['XRANGE', 'out-shard-boot', '-', '+'],
    ['XTRIM', 'out-shard-boot', 'MAXLEN', '0'],
    ['XDEL', 'out-shard-boot', '1-1'],
    ['DEL', 'out-shard-boot'],
    ['SET', 'out-shard-boot', 'x'],
    ['PEXPIRE', 'out-shard-boot', '1'],
    ['EVAL', "return redis.call('get', KEYS[1])", '1', `bull:x-${other}:1`],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['FLUSHALL'],
    ['CONFIG', 'GET', '*'],
    ['ACL', 'LIST'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ['SUBSCRIBE', 'x'],
    ['MONITOR'],
    ['SHUTDOWN', 'NOSAVE'],
    ['SELECT', '1'],
  ];
  for (const [command = '', ...args] of refused) {
    await expect(user.call(command, ...args)).rejects.toThrow(/NOPERM|permission/i);
  }
});
