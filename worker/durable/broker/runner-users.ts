import { redisUserName, runnerAclRules } from '../../../runner/protocol/redis-acl.ts';
import type { RedisChannels } from './redis-channels.ts';

/**
 * The Redis users of runners, made by the administrator's connection. A restarted Redis has forgotten them: what was made is remembered
 * by the server's run id, and every heartbeat asks for its runner's user again.
 */
export class RunnerUsers {
  readonly #redis: RedisChannels;
  /** runner → the server's life and the password with which its user was made. */
  readonly #made = new Map<string, string>();

  constructor(redis: RedisChannels) {
    this.#redis = redis;
  }

  async ensure(runnerId: string, password: string): Promise<void> {
    const runId = await this.#redis.serverLife();
    const mark = `${runId}/${password}`;
    if (this.#made.get(runnerId) === mark) return;
    await this.#redis.admin('ACL', 'SETUSER', redisUserName(runnerId), ...runnerAclRules(runnerId, password));
    // Kept over a restart where Redis has a file for it; elsewhere it says so, and the next heartbeat makes the user again.
    await this.#redis.admin('ACL', 'SAVE').catch(() => undefined);
    this.#made.set(runnerId, mark);
  }

  async remove(runnerId: string): Promise<void> {
    this.#made.delete(runnerId);
    await this.#redis.admin('ACL', 'DELUSER', redisUserName(runnerId));
  }
}
