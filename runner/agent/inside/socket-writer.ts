import type { Socket } from 'bun';

/** Writes in order to a socket that may take less than it is given. What is queued is bounded by who writes (credit, requests). */
export class SocketWriter {
  #queue: Uint8Array[] = [];
  #drained: (() => void)[] = [];
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get congested(): boolean {
    return this.#queue.length > 0;
  }

  write(bytes: Uint8Array): void {
    if (this.#queue.length > 0) {
      this.#queue.push(bytes);
      return;
    }
    const written = Math.max(0, this.#socket.write(bytes));
    if (written < bytes.length) this.#queue.push(bytes.subarray(written));
  }

  /** To be called when the socket drains. */
  flush(): void {
    let taken = 0;
    for (const bytes of this.#queue) {
      const written = Math.max(0, this.#socket.write(bytes));
      if (written < bytes.length) {
        this.#queue[taken] = bytes.subarray(written);
        break;
      }
      taken += 1;
    }
    this.#queue.splice(0, taken);
    if (this.#queue.length === 0) this.#wake();
  }

  /** Resolves when everything has been handed to the kernel, or the connection is closed. */
  async drained(): Promise<void> {
    if (this.#queue.length > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** The connection is closed: nothing more will drain. */
  abandon(): void {
    this.#queue = [];
    this.#wake();
  }

  #wake(): void {
    for (const go of this.#drained.splice(0)) go();
  }
}
