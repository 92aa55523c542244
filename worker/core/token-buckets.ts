/** Buckets of keys that were idle this long are full again and need not be remembered. */
const FORGET_MS = 60_000;
/** A bucket holds this many seconds' worth. */
const BURST_SECONDS = 2;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Token buckets, one a key, of the `bucketsMax` that were used last. */
export class TokenBuckets {
  readonly #bucketsMax: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(bucketsMax: number) {
    this.#bucketsMax = bucketsMax;
  }

  /** Up to `wanted`; 0 when it is empty. */
  take(key: string, perSecond: number, wanted: number, nowMs: number): number {
    const capacity = perSecond * BURST_SECONDS;
    const bucket = this.#buckets.get(key) ?? { tokens: capacity, atMs: nowMs };
    const refilled = Math.min(capacity, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    const taken = Math.min(Math.floor(refilled), wanted);
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: refilled - taken, atMs: nowMs });
    this.#forget(nowMs);
    return taken;
  }

  /** One that was taken and not needed. */
  giveBack(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket) bucket.tokens += 1; // what is too much goes with the next that is taken
  }

  /** In order of their last use. */
  #forget(nowMs: number): void {
    for (const [key, { atMs }] of this.#buckets) {
      if (nowMs - atMs < FORGET_MS && this.#buckets.size <= this.#bucketsMax) return;
      this.#buckets.delete(key);
    }
  }
}
