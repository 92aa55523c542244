import { describeCause } from '../../core/describe-cause.ts';
import type { Services } from '../../core/ports.ts';
import { sweepSnapshots } from '../../core/storage/sweep-snapshots.ts';
import { sweepStorage, type ListPosition } from '../../core/storage/sweep-storage.ts';

const POSITION = 'storage-list';
const PERIOD_MS = 60_000;

interface StorageSweepParts extends Pick<Services, 'directory' | 'objects' | 'snapshotObjects'> {
  /** Of the Durable Object. */
  storage: {
    get<T>(key: string): Promise<T | undefined>;
    put(key: string, value: unknown): Promise<void>;
    delete(key: string): Promise<boolean>;
  };
}

/** Once a minute, one at a time. What fails is logged, and tried again a minute later. */
export class StorageSweep {
  readonly #parts: StorageSweepParts;
  #begunAtMs = 0;
  #running = false;

  constructor(parts: StorageSweepParts) {
    this.#parts = parts;
  }

  async run(nowMs: number): Promise<void> {
    if (this.#running || nowMs - this.#begunAtMs < PERIOD_MS) return;
    this.#running = true;
    this.#begunAtMs = nowMs;
    try {
      await this.#sweepObjects(nowMs).catch(async (error: unknown) => {
        // Where a cursor is what failed, the list begins anew.
        await this.#parts.storage.delete(POSITION);
        logFailure(error);
      });
      // Apart: a snapshot that can't be removed must not keep the list of objects from going on.
      await this.#sweepSnapshots(nowMs).catch(logFailure);
    } finally {
      this.#running = false;
    }
  }

  async #sweepSnapshots(nowMs: number): Promise<void> {
    const removedSnapshots = await sweepSnapshots(this.#parts, nowMs);
    if (removedSnapshots > 0) log({ level: 'info', event: 'snapshots_swept', removedSnapshots });
  }

  async #sweepObjects(nowMs: number): Promise<void> {
    const position = (await this.#parts.storage.get<ListPosition>(POSITION)) ?? null;
    const { next, listedObjects, ...counts } = await sweepStorage(this.#parts, nowMs, position);
    if (next) await this.#parts.storage.put(POSITION, next);
    else if (position) await this.#parts.storage.delete(POSITION);
    if (Object.values(counts).some((count) => count > 0)) {
      log({ level: counts.newOrphans > 0 ? 'warn' : 'info', event: 'storage_swept', listedObjects, ...counts });
    }
  }
}

const logFailure = (error: unknown): void =>
  log({ level: 'error', event: 'storage_sweep_failed', cause: describeCause(error) });

const log = (entry: Record<string, unknown>): void => {
  // oxlint-disable-next-line no-console -- a Durable Object's only log
  console.log(JSON.stringify(entry));
};
