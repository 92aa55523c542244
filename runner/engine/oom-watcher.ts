import type { ContainerFacts } from './container-facts.ts';
import { readOomKills } from './metrics.ts';

const pollMs = 500;

/**
 * Tells oom kills by the kernel's own count in each container's cgroup: Docker 20.10 on cgroup version 1 tells them by an event
 * on one day and not on another. One small read a container and half second.
 */
export class OomWatcher {
  readonly #known: () => Iterable<ContainerFacts>;
  readonly #onOom: (containerId: string) => void;
  readonly #counts = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #polling = false;

  constructor(known: () => Iterable<ContainerFacts>, onOom: (containerId: string) => void) {
    this.#known = known;
    this.#onOom = onOom;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#poll(), pollMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #poll(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    const known = [...this.#known()];
    const ids = new Set(known.map(({ containerId }) => containerId));
    for (const containerId of this.#counts.keys()) if (!ids.has(containerId)) this.#counts.delete(containerId);
    for (const { containerId, cgroup } of known) {
      // Its files go when it ends under way: that is told by another event.
      const count = await readOomKills(cgroup).catch(() => undefined);
      if (count === undefined) continue;
      if (count > (this.#counts.get(containerId) ?? 0)) this.#onOom(containerId);
      this.#counts.set(containerId, count);
    }
    this.#polling = false;
  }
}
