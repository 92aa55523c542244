import type { UsageSample } from '../protocol/usage.ts';

/** One sample, as a ring keeps it: eight bytes each, in this order. */
const fields = [
  'atMs',
  'cpus',
  'cpuUsedPercent',
  'memoryLimitBytes',
  'memoryUsedBytes',
  'memoryCacheBytes',
  'diskLimitBytes',
  'diskUsedBytes',
] as const satisfies readonly (keyof UsageSample)[];
const sampleBytes = fields.length * 8;
/** Most sandboxes live for minutes. */
const firstSamples = 32;

/** The latest samples of one sandbox, oldest first; at most `samplesMax` * 64 bytes. */
export class UsageRing {
  readonly #samplesMax: number;
  #values = new Float64Array(firstSamples * fields.length);
  #start = 0;
  #count = 0;

  constructor(samplesMax: number) {
    this.#samplesMax = samplesMax;
  }

  get bytes(): number {
    return this.#values.byteLength;
  }

  push(sample: UsageSample): void {
    if (this.#count === this.#capacity && this.#capacity < this.#samplesMax) this.#grow();
    const at = (this.#start + this.#count) % this.#capacity;
    fields.forEach((field, offset) => (this.#values[at * fields.length + offset] = sample[field]));
    if (this.#count < this.#capacity) this.#count += 1;
    else this.#start = (this.#start + 1) % this.#capacity;
  }

  /** The latest `limit` of those from `startMs` to `endMs`, both included. */
  read({ startMs, endMs, limit }: { startMs: number; endMs: number; limit: number }): UsageSample[] {
    const found: UsageSample[] = [];
    for (let back = this.#count - 1; back >= 0 && found.length < limit; back--) {
      const sample = this.#at(back);
      if (sample.atMs < startMs) break;
      if (sample.atMs <= endMs) found.push(sample);
    }
    return found.toReversed();
  }

  get #capacity(): number {
    return this.#values.byteLength / sampleBytes;
  }

  #at(index: number): UsageSample {
    const first = ((this.#start + index) % this.#capacity) * fields.length;
    const value = (offset: number): number => this.#values[first + offset] ?? 0;
    return Object.fromEntries(fields.map((field, offset) => [field, value(offset)])) as Record<
      (typeof fields)[number],
      number
    >;
  }

  /** Only while it has never come round, so what there is begins at 0. */
  #grow(): void {
    const larger = new Float64Array(Math.min(this.#capacity * 2, this.#samplesMax) * fields.length);
    larger.set(this.#values);
    this.#values = larger;
  }
}
