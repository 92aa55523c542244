import { closeSync } from 'node:fs';
import { AgentFault, errnoOf } from './fault.ts';

/** What is held for a process that does not read: a write is acknowledged once it fits. */
const bufferBytes = 1024 * 1024;

export interface StdinTarget {
  /** Resolves once the bytes are taken. */
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

const closedFault = (): AgentFault => new AgentFault('stdin_closed', 'The standard input of the process is closed.');

/** The write end of a process's stdin pipe, written in order. */
export class StdinPipe implements StdinTarget {
  #held = 0;
  #closing = false;
  #closed = false;
  #tail: Promise<void> = Promise.resolve();
  #waiting: (() => void)[] = [];
  readonly #sink: Bun.FileSink;

  /** Takes over `fd`. */
  constructor(fd: number) {
    this.#sink = Bun.file(fd).writer({ highWaterMark: 64 * 1024 });
    // The sink has a duplicate of its own from its first write or flush on.
    void Promise.resolve(this.#sink.flush()).catch(() => undefined);
    closeSync(fd);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closing) throw closedFault();
    this.#held += bytes.length;
    this.#tail = this.#tail.then(() => this.#deliver(bytes));
    while (this.#held > bufferBytes && !this.#closed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#closed) throw closedFault();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#tail = this.#tail.then(() => this.#release());
  }

  async #deliver(bytes: Uint8Array): Promise<void> {
    if (!this.#closed) {
      try {
        await Promise.all([this.#sink.write(bytes), this.#sink.flush()]);
      } catch (error) {
        if (errnoOf(error) !== 'EPIPE') console.error('stdin', error);
        this.#release();
      }
    }
    this.#held -= bytes.length;
    this.#wake();
  }

  #release(): void {
    if (this.#closed) return;
    this.#closing = true;
    this.#closed = true;
    // With nothing to flush this closes at once; else when the reading side has taken the rest or has gone (EPIPE).
    void Promise.resolve(this.#sink.end()).catch(() => undefined);
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
