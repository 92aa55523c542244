interface Party {
  /** Of its own, how many are inside. */
  inside: number;
  /** The others, in their order. */
  waiting: (() => void)[];
}

interface GateParts {
  places: number;
  /** Each waits for so long at most. */
  waitMs: number;
  /** Of one party at once. */
  waitingMax: number;
  /** What one is refused with that has waited in vain, or need not begin to. */
  full: () => Error;
}

/**
 * Lets so many in at once, whoever's they are. A place that gets free goes to the party that has the fewest inside, of equals to the one
 * whose turn is longest ago: who waits at the head of its party's row sees one of each other party go first at most, as long as its own
 * party has no more inside than they. Each party's own come in their order.
 */
export class Gate {
  readonly #parts: GateParts;
  #places: number;
  /** Those with somebody here, in the order of their turns. */
  readonly #parties = new Map<string, Party>();

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#places = parts.places;
  }

  /** Rejects with the signal's reason where that aborts before there is a place. */
  async pass<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const party = this.#parties.get(name) ?? { inside: 0, waiting: [] };
    this.#parties.set(name, party);
    if (this.#places > 0) this.#enter(name, party);
    else await this.#wait(name, party, signal);
    try {
      return await work();
    } finally {
      party.inside -= 1;
      this.#places += 1;
      this.#letNextIn();
      this.#forget(name, party);
    }
  }

  /** Takes a place and the end of the row of parties. */
  #enter(name: string, party: Party): void {
    this.#places -= 1;
    party.inside += 1;
    this.#parties.delete(name);
    this.#parties.set(name, party);
  }

  #letNextIn(): void {
    let next: [string, Party] | undefined;
    for (const entry of this.#parties) {
      const [, { waiting, inside }] = entry;
      if (waiting.length > 0 && (next === undefined || inside < next[1].inside)) next = entry;
    }
    if (!next) return;
    const [name, party] = next;
    this.#enter(name, party);
    party.waiting.shift()?.();
  }

  #forget(name: string, party: Party): void {
    if (party.inside === 0 && party.waiting.length === 0) this.#parties.delete(name);
  }

  /** Resolves with a place that was taken for it. */
  #wait(name: string, party: Party, signal: AbortSignal): Promise<void> {
    const { waitMs, waitingMax, full } = this.#parts;
    const { waiting } = party;
    if (waiting.length >= waitingMax) return Promise.reject(full());
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
        waiting.splice(waiting.indexOf(enter), 1);
        this.#forget(name, party);
        reject(error instanceof Error ? error : new Error('aborted'));
      };
      const onAbort = (): void => giveUp(signal.reason);
      const timer = setTimeout(() => giveUp(full()), waitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      waiting.push(enter);
    });
  }
}
