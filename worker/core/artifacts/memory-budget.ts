import { ServiceError } from '../errors.ts';

interface Waiter {
  bytes: number;
  admit(): void;
}

/** How long a request waits for others to give memory back. */
const waitMs = 10_000;
const waitersCount = 256;

/** Caps what all requests of an isolate together hold in buffers: an isolate has 128 MB for everything. Admits in the order of asking. */
export class MemoryBudget {
  #freeBytes: number;
  readonly #totalBytes: number;
  readonly #waiting: Waiter[] = [];

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
    this.#freeBytes = totalBytes;
  }

  /** Holds `bytes` (at most the whole budget) while `work` runs. Throws unavailable when others don't give enough back in time. */
  async hold<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const heldBytes = Math.min(bytes, this.#totalBytes);
    if (this.#waiting.length > 0 || this.#freeBytes < heldBytes) await this.#wait(heldBytes);
    else this.#freeBytes -= heldBytes;
    try {
      return await work();
    } finally {
      this.#freeBytes += heldBytes;
      this.#admit();
    }
  }

  #wait(bytes: number): Promise<void> {
    if (this.#waiting.length >= waitersCount) return Promise.reject(tooBusy());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        admit: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(tooBusy());
        this.#admit();
      }, waitMs);
      this.#waiting.push(waiter);
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next && next.bytes <= this.#freeBytes; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#freeBytes -= next.bytes;
      next.admit();
    }
  }
}

const tooBusy = (): ServiceError =>
  new ServiceError(
    'unavailable',
    'Too much is held in memory for other requests at the moment. Try again; an upload with a Content-Length needs none.',
    {
      retryAfterSeconds: 2,
    },
  );
