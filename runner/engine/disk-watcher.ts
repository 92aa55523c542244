import { statfs } from 'node:fs/promises';
import type { Logger } from '../log.ts';
import type { ContainerFacts } from './container-facts.ts';
import { measureDisk, type DiskUsage } from './disk-usage.ts';
import { asError } from './docker-client.ts';
import { readCpu } from './metrics.ts';

/**
 * Ends what a storage driver without quotas lets grow. Cheap by three questions, each asked only after the one before:
 * has the file system grown since the last pass (one statfs a second)? which containers have used CPU since they were
 * measured (nothing is written without)? what do those hold (`du` at the lowest priority, one at a time, and no sooner
 * than four times the time that the last measurement of that container took)?
 */
const tickMs = 1_000;
const growthBytes = 32 * 1024 * 1024;
const growthInodes = 4_096;
/** A pass without growth, since another's deletions can hide one's writing. */
const unconditionalMs = 15_000;
/** Writing 32 MiB or 2,000 files takes more. */
const activeCpuSeconds = 0.02;
const restFactor = 4;
const restMinMs = 500;
/** As ext4 and xfs give by default. */
const bytesPerInode = 16 * 1024;

interface Watched {
  cpuSeconds: number;
  usage: DiskUsage;
  notBeforeMs: number;
  reported: boolean;
}

interface DiskWatcherOptions {
  /** On the file system that holds the containers' layers. */
  dataRoot: string;
  /** Running containers of this installation. */
  listRunning(): Promise<ContainerFacts[]>;
  onLimit(containerId: string): void;
  log: Logger;
}

export class DiskWatcher {
  readonly #options: DiskWatcherOptions;
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;
  #failing = false;
  #last = { bytes: 0, inodes: 0, atMs: Number.NEGATIVE_INFINITY };

  constructor(options: DiskWatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#tick(), tickMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#pass;
  }

  /** As last measured; measured now where it never was, or long enough ago for what it cost. */
  async usage(facts: ContainerFacts): Promise<DiskUsage> {
    const known = this.#watched.get(facts.containerId);
    return known !== undefined && performance.now() < known.notBeforeMs ? known.usage : this.#measure(facts);
  }

  /** As last measured, if it ever was. */
  known(containerId: string): DiskUsage | undefined {
    return this.#watched.get(containerId)?.usage;
  }

  async #tick(): Promise<void> {
    if (this.#pass !== undefined) return;
    this.#pass = this.#tryPass();
    await this.#pass;
    this.#pass = undefined;
  }

  async #tryPass(): Promise<void> {
    try {
      await this.#passIfGrown();
      this.#failing = false;
    } catch (cause) {
      // Once an outage, not once a second.
      if (!this.#failing) this.#options.log.warn('disk_not_measured', { error: asError(cause) });
      this.#failing = true;
    }
  }

  async #passIfGrown(): Promise<void> {
    const now = await fileSystemUsage(this.#options.dataRoot);
    // Growth counts from the lowest point since the last pass, or what is deleted meanwhile would hide it.
    this.#last.bytes = Math.min(this.#last.bytes, now.bytes);
    this.#last.inodes = Math.min(this.#last.inodes, now.inodes);
    const grown = now.bytes - this.#last.bytes >= growthBytes || now.inodes - this.#last.inodes >= growthInodes;
    if (!grown && performance.now() - this.#last.atMs < unconditionalMs) return;
    this.#last = { ...now, atMs: performance.now() };
    const running = await this.#options.listRunning();
    const ids = new Set(running.map(({ containerId }) => containerId));
    for (const containerId of this.#watched.keys()) if (!ids.has(containerId)) this.#watched.delete(containerId);
    for (const facts of running) await this.#measureIfActive(facts);
  }

  async #measureIfActive(facts: ContainerFacts): Promise<void> {
    const known = this.#watched.get(facts.containerId);
    if (known !== undefined && performance.now() < known.notBeforeMs) {
      this.#last.atMs = Number.NEGATIVE_INFINITY; // Look again at the next tick.
      return;
    }
    try {
      const { usedSeconds } = await readCpu(facts.cgroup);
      if (known === undefined || usedSeconds - known.cpuSeconds >= activeCpuSeconds) await this.#measure(facts);
    } catch (cause) {
      // Its files go when it ends under way; anything else is worth a line.
      if (!isGone(cause))
        this.#options.log.warn('disk_not_measured', { containerId: facts.containerId, error: asError(cause) });
    }
  }

  async #measure(facts: ContainerFacts): Promise<DiskUsage> {
    const { usedSeconds } = await readCpu(facts.cgroup);
    const began = performance.now();
    const usage = await measureDisk(facts).catch((cause: unknown): DiskUsage => {
      if (cause instanceof Error && cause.name === 'AbortError') return { bytes: 0, inodes: Number.MAX_SAFE_INTEGER };
      throw cause;
    });
    const known = this.#watched.get(facts.containerId);
    const over = usage.bytes > facts.diskLimitBytes || usage.inodes > facts.diskLimitBytes / bytesPerInode;
    if (over && known?.reported !== true) this.#options.onLimit(facts.containerId);
    this.#watched.set(facts.containerId, {
      cpuSeconds: usedSeconds,
      usage,
      notBeforeMs: performance.now() + Math.max(restMinMs, restFactor * (performance.now() - began)),
      reported: over || known?.reported === true,
    });
    return usage;
  }
}

async function fileSystemUsage(path: string): Promise<DiskUsage> {
  const found = await statfs(path);
  return { bytes: (found.blocks - found.bfree) * found.bsize, inodes: found.files - found.ffree };
}

function isGone(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENODEV' || error.code === 'ESRCH')
  );
}
