import type { Attachment } from '../../protocol/process.ts';
import type { ManagedProcess } from './process.ts';
import type { Outlet } from './reader.ts';
import { Reader } from './reader.ts';

/**
 * How long a process is held back for a reader whose connection was cut, as a snapshot cuts it. Counted in turns of a timer, and not by the
 * clock: while the sandbox stands still none pass, and the host comes back some turns after it goes on.
 */
const awaitedTurns = 50;
const turnMs = 100;

export interface ReaderRequest {
  id: number;
  attach: Attachment;
}

/** Every reader of the sandbox's processes, by the number that the host has given it. */
export class ReaderTable {
  readonly #entries = new Map<number, { reader: Reader; process: ManagedProcess }>();
  /** Suspended ones, and how many turns each is still waited for. */
  readonly #awaited = new Map<number, number>();
  #turns: Timer | undefined;

  add(process: ManagedProcess, { id, attach }: ReaderRequest, outlet: Outlet): Reader {
    // Its place is taken over: between the two nothing lets the process go on.
    const before = this.#forget(id);
    before?.process.readers.delete(before.reader);
    const reader = new Reader(id, attach, process.ring, outlet, () => this.detach(id));
    this.#entries.set(id, { reader, process });
    process.readers.add(reader);
    // Another life of the host, or that of a copy of the sandbox, numbers from the beginning again.
    if (before !== undefined && before.process !== process) before.process.readersChanged();
    return reader;
  }

  grant(id: number, bytes: number): void {
    const entry = this.#entries.get(id);
    entry?.reader.grant(bytes);
    entry?.process.readersChanged();
  }

  detach(id: number): void {
    const entry = this.#forget(id);
    if (entry === undefined) return;
    entry.reader.close();
    entry.process.readers.delete(entry.reader);
    entry.process.readersChanged();
  }

  /** The control connection is gone. A process that waited for a reader, or would have to soon, waits until it is attached again. */
  connectionLost(): void {
    for (const [id, { reader, process }] of this.#entries) {
      if (this.#awaited.has(id)) continue;
      if (process.exit !== null || !reader.mayHold) {
        this.detach(id);
        continue;
      }
      reader.suspend();
      this.#awaited.set(id, awaitedTurns);
    }
    if (this.#awaited.size > 0) this.#turns ??= setInterval(() => this.#turnPassed(), turnMs);
  }

  #turnPassed(): void {
    for (const [id, turns] of this.#awaited) {
      if (turns > 1) this.#awaited.set(id, turns - 1);
      else this.detach(id);
    }
  }

  #forget(id: number): { reader: Reader; process: ManagedProcess } | undefined {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    if (this.#awaited.delete(id) && this.#awaited.size === 0) {
      clearInterval(this.#turns);
      this.#turns = undefined;
    }
    return entry;
  }
}
