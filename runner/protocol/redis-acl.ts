import { execQueueName, inStreamName, leaseKey, lifecycleQueueName } from './ids.ts';

export const redisUserName = (runnerId: string): string => `runner-${runnerId}`;

/** BullMQ's own prefix; both ends leave it at its default. */
const queuePrefix = 'bull';

/** Of BullMQ's worker: its own calls, and those of its Lua scripts, which Redis checks one by one as well. */
const workerCommands = [
  'evalsha eval script|load info client|setname ping hello bzpopmin',
  'del exists expire get incr incrby persist pexpire pexpireat pttl set time type unlink',
  'hdel hexists hget hgetall hincrby hlen hmget hmset hset',
  'lindex llen lpop lpos lpush lrange lrem lset ltrim rpop rpoplpush rpush',
  'sadd scard sismember smembers srem',
  'zadd zcard zcount zpopmin zrange zrangebylex zrangebyscore zrem zremrangebyrank',
  'zremrangebyscore zrevrange zrevrangebyscore zscore zlexcount',
  'xadd xlen xrange xtrim xdel',
];
/** Of the runner's channels, lease and clock. */
const channelCommands = ['multi exec xread xadd xtrim pexpire set del time'];

/**
 * What follows `ACL SETUSER <name>` for a runner: the commands that its parts use and no others, on its own two queues, its own
 * in-streams and its lease. The shards' out-streams are everybody's to add to, and to nothing else: not to read, cut or remove. What
 * counts there is the channel's random id, which only the runner that was given it knows.
 */
export function runnerAclRules(runnerId: string, password: string): string[] {
  const own = [
    `${queuePrefix}:${execQueueName(runnerId)}:*`,
    `${queuePrefix}:${lifecycleQueueName(runnerId)}:*`,
    inStreamName(runnerId, '*'),
    leaseKey(runnerId),
  ];
  const commands = new Set([...workerCommands, ...channelCommands].join(' ').split(' '));
  return [
    'reset',
    'on',
    `>${password}`,
    ...own.map((pattern) => `~${pattern}`),
    '-@all',
    ...[...commands].map((command) => `+${command}`),
    // A selector: rights of its own, for these keys only.
    '(%W~out-* +xadd)',
  ];
}
