/** Many ends in a row are forgotten in one go. */
const sweepMs = 1_000;

interface EndedProcessesParts<P> {
  /** Each is kept for so long, but no more than this many, and with no more output than this. */
  ttlMs: number;
  countMax: number;
  outputBytesMax: number;
  onForget: (process: P) => void;
  /** Some were forgotten. */
  onSwept: () => void;
}

/** Processes that have ended, for readers that come late, in the order of their ends. */
export class EndedProcesses<P extends { readonly ring: { readonly heldBytes: number } }> {
  readonly #parts: EndedProcessesParts<P>;
  /** `at` by the monotonic clock. */
  readonly #ended: { process: P; at: number }[] = [];
  #sweep: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: EndedProcessesParts<P>) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#ended.length;
  }

  add(process: P): void {
    this.#ended.push({ process, at: performance.now() });
    this.#forget();
  }

  #forget(): void {
    const { ttlMs, countMax, outputBytesMax, onForget, onSwept } = this.#parts;
    const oldest = performance.now() - ttlMs;
    let held = this.#ended.reduce((sum, { process }) => sum + process.ring.heldBytes, 0);
    let forgotten = 0;
    for (const { process, at } of this.#ended) {
      const over = this.#ended.length - forgotten > countMax || held > outputBytesMax;
      if (at > oldest && !over) break;
      held -= process.ring.heldBytes;
      onForget(process);
      forgotten += 1;
    }
    if (forgotten > 0) onSwept();
    this.#ended.splice(0, forgotten);
    const [next] = this.#ended;
    if (next === undefined || this.#sweep !== undefined) return;
    const dueMs = next.at + ttlMs - performance.now();
    this.#sweep = setTimeout(
      () => {
        this.#sweep = undefined;
        this.#forget();
      },
      Math.max(Math.min(sweepMs, ttlMs), dueMs),
    );
  }
}
