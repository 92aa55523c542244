/** Lets so many in at once. The others wait in their order, each for so long at most. */
export class Gate {
  #places: number;
  readonly #waitMs: number;
  readonly #full: () => Error;
  readonly #waiting: (() => void)[] = [];

  /** `full`: what one is refused with that has waited in vain. */
  constructor({ places, waitMs, full }: { places: number; waitMs: number; full: () => Error }) {
    this.#places = places;
    this.#waitMs = waitMs;
    this.#full = full;
  }

  /** Rejects with the signal's reason where that aborts before there is a place. */
  async pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#places > 0) this.#places -= 1;
    else await this.#wait(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#places += 1;
    }
  }

  /** Resolves with the place of one that has left. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const enter = (): void => {
        stop();
        resolve();
      };
      const giveUp = (error: unknown): void => {
        stop();
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(error instanceof Error ? error : new Error('aborted'));
      };
      const onAbort = (): void => giveUp(signal.reason);
      const timer = setTimeout(() => giveUp(this.#full()), this.#waitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(enter);
    });
  }
}
