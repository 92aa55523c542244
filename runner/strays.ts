import { monotonicMs } from './clock.ts';
import type { Container, ContainerEngine } from './engine/port.ts';
import type { Logger } from './log.ts';

/** For how long a container has to have been nobody's, whenever it was looked at: longer than one is between two owners. */
const STRAY_MS = 30_000;

interface StraysParts {
  engine: Pick<ContainerEngine, 'remove'>;
  /** As of now. */
  isOwned: (container: Container) => boolean;
  /** Aborts when the runner stops: the next life looks for itself. */
  signal: AbortSignal;
  log: Logger;
}

/**
 * Containers of ours that nobody answers for: whose start or removal the engine has not seen through, as it was away. They would run on with
 * their memory and their address, counted nowhere.
 */
export class Strays {
  readonly #parts: StraysParts;
  /** Since when they are seen, by container. */
  #seenSinceMs = new Map<string, number>();
  #removing = false;

  constructor(parts: StraysParts) {
    this.#parts = parts;
  }

  /** `found`: all that there are, as the engine has just said. Removes, beside everything else, what was nobody's for long enough. */
  look(found: readonly Container[]): void {
    const nowMs = monotonicMs();
    const strays = found.filter((container) => !this.#parts.isOwned(container));
    this.#seenSinceMs = new Map(strays.map(({ id }) => [id, this.#seenSinceMs.get(id) ?? nowMs]));
    if (!this.#removing) void this.#removeAll(strays.filter(({ id }) => this.#isOld(id, nowMs)));
  }

  #isOld(containerId: string, nowMs: number): boolean {
    return nowMs - (this.#seenSinceMs.get(containerId) ?? nowMs) >= STRAY_MS;
  }

  /** One at a time, as each may take the engine its while. What can't be removed is seen again. */
  async #removeAll(strays: readonly Container[]): Promise<void> {
    this.#removing = true;
    for (const { id, slot } of strays) {
      if (this.#parts.signal.aborted) return;
      try {
        await this.#parts.engine.remove(id);
        this.#parts.log.warn('stray_removed', { containerId: id, slot });
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause));
        this.#parts.log.warn('stray_not_removed', { containerId: id, slot, error });
      }
    }
    this.#removing = false;
  }
}
