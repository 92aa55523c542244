/** Buckets of keys that were idle this long are full again and need not be remembered. */
const FORGET_MS = 60_000;
const BUCKETS = 50_000;
/** A bucket holds this many seconds' worth. */
const BURST_SECONDS = 2;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Token buckets, one a key; isolates take slices of them. */
export class TokenBuckets {
  readonly #buckets = new Map<string, Bucket>();

  /** Up to `wanted`; 0 when it is empty. */
  take(keyId: string, perSecond: number, wanted: number, nowMs: number): number {
    const capacity = perSecond * BURST_SECONDS;
    const bucket = this.#buckets.get(keyId) ?? { tokens: capacity, atMs: nowMs };
    const refilled = Math.min(capacity, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    const taken = Math.min(Math.floor(refilled), wanted);
    this.#buckets.delete(keyId);
    this.#buckets.set(keyId, { tokens: refilled - taken, atMs: nowMs });
    this.#forget(nowMs);
    return taken;
  }

  /** In order of their last use. */
  #forget(nowMs: number): void {
    for (const [keyId, { atMs }] of this.#buckets) {
      if (nowMs - atMs < FORGET_MS && this.#buckets.size <= BUCKETS) return;
      this.#buckets.delete(keyId);
    }
  }
}
