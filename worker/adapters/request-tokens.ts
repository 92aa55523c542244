import type { Brokers } from './broker-stub.ts';

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
  readonly #brokers: Brokers;
  readonly #slices = new Map<string, Slice>();

  constructor(brokers: Brokers) {
    this.#brokers = brokers;
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
    const wanted = Math.max(Math.ceil(perSecond * SLICE_SECONDS), 1);
    const taken = await this.#brokers.at(shardOfKey(keyId)).takeRequests(keyId, perSecond, wanted);
    if (taken !== 1)
      this.#keep(
        keyId,
        taken > 0 ? { tokens: taken - 1, untilMs: nowMs + SLICE_MS } : { tokens: 0, untilMs: nowMs + EMPTY_MS },
      );
    return taken > 0;
  }

  /** Several requests may have fetched at once: what they got adds up. */
  #keep(keyId: string, slice: Slice): void {
    const held = this.#slices.get(keyId);
    if (this.#slices.size >= KEYS) this.#slices.clear();
    const tokens = slice.tokens + (held && held.untilMs > Date.now() ? held.tokens : 0);
    this.#slices.set(keyId, { tokens, untilMs: slice.untilMs });
  }
}

/** FNV-1a, to a byte. */
const shardOfKey = (keyId: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < keyId.length; index += 1) hash = Math.imul(hash ^ keyId.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % 256;
};
