import type { Redis } from 'ioredis';
import { leaseKey } from '../protocol/ids.ts';
import { limits } from '../protocol/limits.ts';
import type { Logger } from '../log.ts';
import { send } from './connection.ts';
import type { Inbound } from './inbound.ts';
import type { RedisClock } from './redis-clock.ts';

const RENEW_MS = 5_000;

/** What Redis has to be told again and again while this life lasts: the lease, the in-stream's expiry; and asked: its time. */
export class Presence {
  readonly #parts: { redis: Redis; runnerId: string; boot: string; inbound: Inbound; clock: RedisClock; log: Logger };
  #timer: NodeJS.Timeout | undefined;
  #streamRenewedAtMs = 0;

  constructor(parts: {
    redis: Redis;
    runnerId: string;
    boot: string;
    inbound: Inbound;
    clock: RedisClock;
    log: Logger;
  }) {
    this.#parts = parts;
  }

  /** Rejects if Redis can't be told the first time. */
  async start(): Promise<void> {
    await this.#renew(true);
    this.#timer = setInterval(() => void this.#renewOrReport(false), RENEW_MS);
    // A restarted Redis has forgotten both.
    this.#parts.redis.on('ready', () => void this.#renewOrReport(true));
  }

  /** Tells the edge at once that nobody is here any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await send(this.#parts.redis, 'DEL', leaseKey(this.#parts.runnerId)).catch((error: unknown) => this.#report(error));
  }

  async #renewOrReport(withStream: boolean): Promise<void> {
    if (this.#timer === undefined) return;
    await this.#renew(withStream).catch((error: unknown) => this.#report(error));
  }

  async #renew(withStream: boolean): Promise<void> {
    const { redis, runnerId, boot, inbound, clock } = this.#parts;
    await send(redis, 'SET', leaseKey(runnerId), boot, 'PX', limits.leaseMs);
    await clock.measure();
    if (!withStream && Date.now() - this.#streamRenewedAtMs < limits.streamRenewMs) return;
    await inbound.renew();
    this.#streamRenewedAtMs = Date.now();
  }

  #report(error: unknown): void {
    this.#parts.log.warn('lease_not_renewed', { error: error instanceof Error ? error : new Error(String(error)) });
  }
}
