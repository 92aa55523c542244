import { setImmediate as nextTurn } from 'node:timers/promises';
import { monotonicMs } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import { limits } from '../protocol/limits.ts';
import type { UsageQuery, UsageSample } from '../protocol/usage.ts';
import { isLive, type LiveSandbox, type Sandbox } from './sandbox.ts';
import type { SandboxTable } from './table.ts';
import { UsageRing } from './usage-ring.ts';

/** How soon a due sample is taken. */
const TICK_MS = 500;
/** From a sandbox's first tick to its first sample: the shortest time over which a share of CPU says something. */
const FIRST_MS = 1_000;

interface Watched {
  ring: UsageRing;
  /** undefined: the next reading is only the beginning of an interval. */
  before: { atMs: number; cpuSeconds: number } | undefined;
  dueAtMs: number;
}

interface SamplerParts {
  sandboxes: Pick<SandboxTable, 'all'>;
  engine: Pick<ContainerEngine, 'sample'>;
}

/**
 * What each running sandbox used, every limits.usageIntervalMs for the last limits.usageSamples. In memory: with the sandbox, and with
 * this life of the runner, it is gone. Three small files of the host's a sample, one sandbox after another.
 */
export class UsageSampler {
  readonly #parts: SamplerParts;
  readonly #watched = new WeakMap<Sandbox, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), TICK_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#pass;
  }

  /** Takes what is due, unless it is being taken still. */
  tick(): void {
    this.#pass ??= this.#sampleDue().finally(() => {
      this.#pass = undefined;
    });
  }

  read(sandbox: Sandbox, query: UsageQuery): UsageSample[] {
    return this.#watched.get(sandbox)?.ring.read(query) ?? [];
  }

  async #sampleDue(): Promise<void> {
    for (const sandbox of this.#parts.sandboxes.all()) {
      const watched = this.#watched.get(sandbox);
      if (!isLive(sandbox)) {
        if (watched) watched.before = undefined;
        if (sandbox.state === 'ended') this.#watched.delete(sandbox); // it is known for another hour, nobody asks for this
        continue;
      }
      if (watched?.before && monotonicMs() < watched.dueAtMs) continue;
      await this.#sample(sandbox, watched ?? this.#watch(sandbox)).catch(() => undefined); // its files go when it ends
      await nextTurn();
    }
  }

  #watch(sandbox: Sandbox): Watched {
    const watched = { ring: new UsageRing(limits.usageSamples), before: undefined, dueAtMs: 0 };
    this.#watched.set(sandbox, watched);
    return watched;
  }

  async #sample(sandbox: LiveSandbox, watched: Watched): Promise<void> {
    const { cpuSeconds, ...reading } = await this.#parts.engine.sample(sandbox.home.containerId);
    const atMs = monotonicMs();
    const { before } = watched;
    watched.before = { atMs, cpuSeconds };
    if (!before) {
      watched.dueAtMs = atMs + FIRST_MS;
      return;
    }
    watched.dueAtMs = atMs + limits.usageIntervalMs;
    const used = (cpuSeconds - before.cpuSeconds) / ((atMs - before.atMs) / 1000);
    watched.ring.push({
      ...reading,
      atMs: Date.now(),
      cpus: sandbox.cpus,
      cpuUsedPercent: Math.min(100, Math.max(0, (used / sandbox.cpus) * 100)),
      memoryLimitBytes: sandbox.memoryMiB * 1024 * 1024,
    });
  }
}
