/** Asks a shard for up to `wanted` tokens of the key's bucket. */
type TakeFromShard = (shard: number, keyId: string, perSecond: number, wanted: number) => Promise<number>;

/** An isolate takes as many requests of a key at once as it will have used up in about this time. */
const SLICE_SECONDS = 0.2;
/** A slice not used up in this time is gone: other isolates may have needed it. */
const SLICE_MS = 1_000;
/** For this long an empty bucket is not asked again. */
const EMPTY_MS = 50;
const KEYS = 10_000;

interface Slice {
  tokens: number;
  untilMs: number;
}

/** Requests that this isolate may still let through, by key; fetched in slices from the key's shard. */
export class RequestTokens {
  readonly #takeFromShard: TakeFromShard;
  readonly #slices = new Map<string, Slice>();
  /** Keys of which a slice is on its way, since when: a request that was cut off doesn't come back to say that it is over. */
  readonly #fetching = new Map<string, number>();

  constructor(takeFromShard: TakeFromShard) {
    this.#takeFromShard = takeFromShard;
  }

  async take(keyId: string, perSecond: number): Promise<boolean> {
    const nowMs = Date.now();
    const slice = this.#slices.get(keyId);
    if (slice && slice.untilMs > nowMs) {
      if (slice.tokens === 0) return false;
      slice.tokens -= 1;
      if (slice.tokens === 0) this.#slices.delete(keyId);
      return true;
    }
    // Who comes while a slice is on its way asks for itself alone: many slices at once would empty the bucket. (The other
    // request's promise can't be waited for: it belongs to that request.)
    if (nowMs - (this.#fetching.get(keyId) ?? 0) < SLICE_MS) return (await this.#fetch(keyId, perSecond, 1)) > 0;
    this.#fetching.set(keyId, nowMs);
    try {
      const taken = await this.#fetch(keyId, perSecond, Math.max(Math.ceil(perSecond * SLICE_SECONDS), 1));
      const untilMs = Date.now() + (taken > 0 ? SLICE_MS : EMPTY_MS);
      if (this.#slices.size >= KEYS) this.#slices.clear();
      if (taken === 1) this.#slices.delete(keyId);
      else this.#slices.set(keyId, { tokens: Math.max(taken - 1, 0), untilMs });
      return taken > 0;
    } finally {
      this.#fetching.delete(keyId);
    }
  }

  #fetch(keyId: string, perSecond: number, wanted: number): Promise<number> {
    return this.#takeFromShard(shardOfKey(keyId), keyId, perSecond, wanted);
  }
}

/** FNV-1a, to a byte. */
const shardOfKey = (keyId: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < keyId.length; index += 1) hash = Math.imul(hash ^ keyId.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % 256;
};
