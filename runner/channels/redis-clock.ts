import type { Redis } from 'ioredis';
import { monotonicMs } from '../clock.ts';
import { send } from './connection.ts';

const SAMPLES = 3;

/** Redis's TIME, reckoned from the monotonic clock and an offset that is measured again and again. */
export class RedisClock {
  readonly #redis: Redis;
  #offsetMs: number | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Throws before the first measurement. */
  nowMs(): number {
    if (this.#offsetMs === undefined) throw new Error('The Redis clock was read before it was measured.');
    return monotonicMs() + this.#offsetMs;
  }

  /** Takes the sample with the shortest way there and back. */
  async measure(): Promise<void> {
    let best = { roundTripMs: Infinity, offsetMs: 0 };
    for (let sample = 0; sample < SAMPLES; sample++) {
      const sentMs = monotonicMs();
      const [seconds, micros] = await send<[Buffer, Buffer]>(this.#redis, 'TIME');
      const receivedMs = monotonicMs();
      const redisMs = Number(String(seconds)) * 1000 + Number(String(micros)) / 1000;
      const roundTripMs = receivedMs - sentMs;
      if (roundTripMs < best.roundTripMs) best = { roundTripMs, offsetMs: redisMs - (sentMs + receivedMs) / 2 };
    }
    this.#offsetMs = best.offsetMs;
  }
}
