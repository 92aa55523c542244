import { readFileSync } from 'node:fs';
import { RunnerError } from '../protocol/errors.ts';

/** Refuses a sandbox that the node can't hold. Placement reckons with reservations; this is the node's own last word. */
export class Capacity {
  readonly #limits: { sandboxLimit: number; memoryFloorMiB: number };

  constructor(limits: { sandboxLimit: number; memoryFloorMiB: number }) {
    this.#limits = limits;
  }

  /** Throws capacity_exhausted. `held`: sandboxes that are here already. */
  check(held: number): void {
    if (held >= this.#limits.sandboxLimit) {
      throw new RunnerError('capacity_exhausted', 'The node holds as many sandboxes as it may.');
    }
    this.checkMemory();
  }

  /** Of one that is here already and wants its memory back. Throws capacity_exhausted. */
  checkMemory(): void {
    if (memoryAvailableMiB() >= this.#limits.memoryFloorMiB) return;
    throw new RunnerError('capacity_exhausted', 'The node is short of memory.');
  }
}

/** What the kernel reckons new work could get without swapping. */
export function memoryAvailableMiB(): number {
  const found = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  if (!found) throw new Error('/proc/meminfo has no MemAvailable');
  return Math.floor(Number(found[1]) / 1024);
}
