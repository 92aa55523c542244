import { closeSync } from 'node:fs';
import { errnoOf } from './fault.ts';
import { InputQueue } from './input-queue.ts';

export interface StdinTarget {
  /** Resolves once the bytes are taken: written, or held within a bound. Rejects with nothing of them taken. */
  write(bytes: Uint8Array): Promise<void>;
  /** After all that was written before. A promise: where it has to wait for that, and may be refused. */
  close(): Promise<void> | undefined;
}

/** The write end of a process's stdin pipe, written in order. */
export class StdinPipe implements StdinTarget {
  #released = false;
  #tail: Promise<void> = Promise.resolve();
  readonly #sink: Bun.FileSink;
  readonly #queue = new InputQueue((bytes) => {
    this.#tail = this.#tail.then(() => this.#deliver(bytes));
  });

  /** Takes over `fd`. */
  constructor(fd: number) {
    this.#sink = Bun.file(fd).writer({ highWaterMark: 64 * 1024 });
    // The sink has a duplicate of its own from its first write or flush on.
    void Promise.resolve(this.#sink.flush()).catch(() => undefined);
    closeSync(fd);
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#queue.write(bytes);
  }

  close(): undefined {
    this.#queue.close(() => {
      this.#tail = this.#tail.then(() => this.#release());
    });
  }

  async #deliver(bytes: Uint8Array): Promise<void> {
    if (!this.#released) {
      try {
        await Promise.all([this.#sink.write(bytes), this.#sink.flush()]);
      } catch (error) {
        if (errnoOf(error) !== 'EPIPE') console.error('stdin', error);
        this.#release();
      }
    }
    this.#queue.delivered(bytes.length);
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#queue.abandon();
    // With nothing to flush this closes at once; else when the reading side has taken the rest or has gone (EPIPE).
    void Promise.resolve(this.#sink.end()).catch(() => undefined);
  }
}
