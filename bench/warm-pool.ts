/** How full the runner's pool is, counted on the engine: the service's containers that hold no sandbox of ours. */
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';

const POLL_MS = 25;
const FULL_DEADLINE_MS = 90_000;
/** A pool that hasn't grown for this long is at its full size. */
const SETTLED_MS = 4_000;
/** From the engine's "running" to the agent's dialling in, with room. */
const AGENT_STARTS_MS = 250;

export class WarmPool {
  readonly #docker: Docker;
  readonly #filters: { label: string[]; status: string[] };
  readonly #network: 'on' | 'off';
  #liveSandboxes = 0;
  #size = 0;

  /** `network`: which of the runner's pools is meant, the one that the sandboxes of the benchmark come from. */
  constructor(docker: Docker, installationId: string, network: 'on' | 'off') {
    this.#docker = docker;
    this.#network = network;
    this.#filters = { label: [`glovebox.installation=${installationId}`], status: ['running'] };
  }

  /** How many containers it holds when it is full, as far as was seen. */
  get size(): number {
    return this.#size;
  }

  claimed(count = 1): void {
    this.#liveSandboxes += count;
  }

  released(count = 1): void {
    this.#liveSandboxes -= count;
  }

  async countWarm(): Promise<number> {
    const containers = await this.#docker.listContainers({ filters: this.#filters });
    const own = containers.filter(
      ({ HostConfig }) => (HostConfig.NetworkMode === 'none') === (this.#network === 'off'),
    );
    return Math.max(0, own.length - this.#liveSandboxes);
  }

  /** Waits until it no longer grows and remembers its size. */
  async learnSize(): Promise<number> {
    let grewAt = performance.now();
    this.#size = 0;
    while (performance.now() - grewAt < SETTLED_MS) {
      const warm = await this.countWarm();
      if (warm > this.#size) {
        this.#size = warm;
        grewAt = performance.now();
      }
      await sleep(POLL_MS);
    }
    return this.#size;
  }

  /** How many it holds once that is `enough`, or at the deadline: a node may have no room for as many. */
  async waitForCount(enough: (count: number) => boolean, deadlineMs: number): Promise<number> {
    const startedAt = performance.now();
    for (;;) {
      const count = await this.countWarm();
      if (enough(count) || performance.now() - startedAt > deadlineMs) {
        await sleep(AGENT_STARTS_MS);
        return count;
      }
      await sleep(POLL_MS);
    }
  }

  /** Resolves with the milliseconds it took until all its containers are there and their agents had time to dial in. */
  async waitUntilFull(): Promise<number> {
    const startedAt = performance.now();
    let waited = false;
    while ((await this.countWarm()) < this.#size) {
      waited = true;
      if (performance.now() - startedAt > FULL_DEADLINE_MS) {
        throw new Error(
          `the pool has ${await this.countWarm()} of ${this.#size} warm containers after ${FULL_DEADLINE_MS} ms`,
        );
      }
      await sleep(POLL_MS);
    }
    const elapsedMs = performance.now() - startedAt;
    if (waited) await sleep(AGENT_STARTS_MS);
    return elapsedMs;
  }
}
