import { limits } from '../../../runner/protocol/limits.ts';

/** A reader gets at least this, or it could not move at all: one event's worth. */
const FLOOR_BYTES = limits.dataEventBytes;

/** What all readers of a shard together may have on its way to them. */
export class CreditBudget {
  #freeBytes: number = limits.shardCreditBytes;

  /** A window for one reader: what it wants, or less where the shard is busy; `give` it back when the reader ends. */
  take(wantedBytes: number): number {
    const takenBytes = Math.min(wantedBytes, Math.max(this.#freeBytes, FLOOR_BYTES));
    this.#freeBytes -= takenBytes;
    return takenBytes;
  }

  give(bytes: number): void {
    this.#freeBytes += bytes;
  }
}
