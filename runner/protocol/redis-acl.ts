import { execQueueName, inStreamName, leaseKey, lifecycleQueueName } from './ids.ts';

export const redisUserName = (runnerId: string): string => `runner-${runnerId}`;

/** BullMQ's own prefix; both ends leave it at its default. */
const queuePrefix = 'bull';

/**
 * What follows `ACL SETUSER <name>` for a runner: its two queues, its own stream and lease, and adding to the shards' streams, which
 * it cannot read. Nothing that shows or removes other keys, and nothing of the server itself.
 */
export const runnerAclRules = (runnerId: string, password: string): string[] => [
  'reset',
  'on',
  `>${password}`,
  `~${queuePrefix}:${execQueueName(runnerId)}:*`,
  `~${queuePrefix}:${lifecycleQueueName(runnerId)}:*`,
  `~${inStreamName(runnerId, '*')}`,
  `~${leaseKey(runnerId)}`,
  '%W~out-*',
  '+@all',
  '-@admin',
  '-@dangerous',
  // BullMQ asks for the server's version.
  '+info',
  // They name keys that are not the runner's, or reach another database.
  '-scan',
  '-randomkey',
  '-dbsize',
  '-select',
  '-move',
  '-copy',
  '-function',
  // A shard's stream may be added to, not removed or cut.
  '-del',
  '-unlink',
  '(+del +unlink ' +
    `~${queuePrefix}:${execQueueName(runnerId)}:* ~${queuePrefix}:${lifecycleQueueName(runnerId)}:* ~${inStreamName(runnerId, '*')} ~${leaseKey(runnerId)})`,
];
