import { describeCause } from '../../core/describe-cause.ts';
import type { Services } from '../../core/ports.ts';
import { sweepSnapshots } from '../../core/storage/sweep-snapshots.ts';
import { sweepStorage, type ListPosition } from '../../core/storage/sweep-storage.ts';

const POSITION = 'storage-list';
const PERIOD_MS = 60_000;

interface StorageSweepParts extends Pick<Services, 'directory' | 'objects' | 'snapshotObjects'> {
  storage: DurableObjectStorage;
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
      await this.#sweep(nowMs);
    } catch (error) {
      // Where a cursor is what failed, the list begins anew.
      await this.#parts.storage.delete(POSITION);
      log({ level: 'error', event: 'storage_sweep_failed', cause: describeCause(error) });
    } finally {
      this.#running = false;
    }
  }

  async #sweep(nowMs: number): Promise<void> {
    const position = (await this.#parts.storage.get<ListPosition>(POSITION)) ?? null;
    const { next, listedObjects, ...swept } = await sweepStorage(this.#parts, nowMs, position);
    const counts = { ...swept, removedSnapshots: await sweepSnapshots(this.#parts, nowMs) };
    if (next) await this.#parts.storage.put(POSITION, next);
    else if (position) await this.#parts.storage.delete(POSITION);
    if (Object.values(counts).some((count) => count > 0)) {
      log({ level: counts.newOrphans > 0 ? 'warn' : 'info', event: 'storage_swept', listedObjects, ...counts });
    }
  }
}

const log = (entry: Record<string, unknown>): void => {
  // oxlint-disable-next-line no-console -- a Durable Object's only log
  console.log(JSON.stringify(entry));
};
