/**
 * The time for which one is kept is counted in turns of a timer, and not by the clock: while the sandbox stands still none pass, and its
 * readers are attached again some turns after it goes on. Many ends in a row are forgotten in one go.
 */
const turnMs = 1_000;

interface EndedProcessesParts<P> {
  /** Each is kept for so long, and for up to one turn more, but no more than this many, and with no more output than this. */
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
  /** `at`: in which turn. */
  readonly #ended: { process: P; at: number }[] = [];
  #turn = 0;
  #turns: ReturnType<typeof setInterval> | undefined;

  constructor(parts: EndedProcessesParts<P>) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#ended.length;
  }

  add(process: P): void {
    this.#ended.push({ process, at: this.#turn });
    this.#turns ??= setInterval(() => {
      this.#turn += 1;
      this.#forget();
    }, turnMs);
    this.#forget();
  }

  #forget(): void {
    const { ttlMs, countMax, outputBytesMax, onForget, onSwept } = this.#parts;
    const oldest = this.#turn - ttlMs / turnMs;
    let held = this.#ended.reduce((sum, { process }) => sum + process.ring.heldBytes, 0);
    let forgotten = 0;
    for (const { process, at } of this.#ended) {
      const over = this.#ended.length - forgotten > countMax || held > outputBytesMax;
      if (at >= oldest && !over) break;
      held -= process.ring.heldBytes;
      onForget(process);
      forgotten += 1;
    }
    if (forgotten > 0) onSwept();
    this.#ended.splice(0, forgotten);
    if (this.#ended.length > 0) return;
    clearInterval(this.#turns);
    this.#turns = undefined;
  }
}
