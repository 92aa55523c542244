import { ServiceError } from '../errors.ts';

/** Whoever holds: bytes are shared out by tenant, and `after` keeps a request alive whose client has gone, so that it gives them back. */
export interface Holder {
  actor: { tenant: { id: string } };
  after(work: Promise<unknown>): void;
}

interface Lease {
  tenantId: string;
  bytes: number;
  touchedAtMs: number;
}

interface Waiter {
  lease: Lease;
  admit(): void;
}

/** How long a request waits for others to give memory back. */
const waitMs = 10_000;
const waitersCount = 256;
/** Of one tenant. */
const ownWaitersCount = 64;
/**
 * Bytes that nobody has touched for so long were held by a request that the runtime has ended without a word, as it may when a client is gone:
 * they are taken back.
 */
const leaseMs = 120_000;

/**
 * Caps what all requests of an isolate together hold in buffers: an isolate has 128 MB for everything. Admits in the order of asking, but for
 * tenants that hold half of it already: they wait for their own.
 */
export class MemoryBudget {
  #freeBytes: number;
  readonly #totalBytes: number;
  readonly #leases = new Set<Lease>();
  #waiting: Waiter[] = [];

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
    this.#freeBytes = totalBytes;
  }

  /**
   * Holds `bytes` (at most the whole budget) while `work` runs, which calls `touch` whenever it gets on if it may take longer than a minute.
   * Throws unavailable when others don't give enough back in time; `touch` does when the bytes were taken back.
   */
  async hold<T>(holder: Holder, bytes: number, work: (touch: () => void) => Promise<T>): Promise<T> {
    const done = this.#hold(holder.actor.tenant.id, bytes, work);
    // A failure is the caller's to tell.
    holder.after(done.then(nothing, nothing));
    return done;
  }

  async #hold<T>(tenantId: string, bytes: number, work: (touch: () => void) => Promise<T>): Promise<T> {
    const lease: Lease = { tenantId, bytes: Math.min(bytes, this.#totalBytes), touchedAtMs: Date.now() };
    this.#takeBackAbandoned();
    const isNext = this.#next() === undefined && this.#waiting.every((waiter) => waiter.lease.tenantId !== tenantId);
    if (isNext && lease.bytes <= this.#freeBytes && !this.#mustWait(lease)) this.#grant(lease);
    else await this.#wait(lease);
    try {
      return await work(() => this.#touch(lease));
    } finally {
      this.#release(lease);
    }
  }

  #touch(lease: Lease): void {
    if (!this.#leases.has(lease)) throw tooBusy();
    lease.touchedAtMs = Date.now();
  }

  /** The tenant has its share already. What is larger than a share is held by a tenant that holds nothing else. */
  #mustWait({ tenantId, bytes }: Lease): boolean {
    let heldBytes = 0;
    for (const lease of this.#leases) if (lease.tenantId === tenantId) heldBytes += lease.bytes;
    return heldBytes > 0 && heldBytes + bytes > this.#totalBytes / 2;
  }

  #grant(lease: Lease): void {
    lease.touchedAtMs = Date.now();
    this.#leases.add(lease);
    this.#freeBytes -= lease.bytes;
  }

  #release(lease: Lease): void {
    if (!this.#leases.delete(lease)) return;
    this.#freeBytes += lease.bytes;
    this.#admit();
  }

  #takeBackAbandoned(): void {
    const untilMs = Date.now() - leaseMs;
    for (const lease of this.#leases) if (lease.touchedAtMs < untilMs) this.#release(lease);
  }

  #wait(lease: Lease): Promise<void> {
    const own = this.#waiting.filter(({ lease: { tenantId } }) => tenantId === lease.tenantId);
    if (this.#waiting.length >= waitersCount || own.length >= ownWaitersCount) return Promise.reject(tooBusy());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        lease,
        admit: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(() => {
        // Who was admitted by another request is not in it any more: a timer can only be cleared by the request that has set it.
        if (!this.#waiting.includes(waiter)) return;
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(tooBusy());
        this.#admit();
      }, waitMs);
      this.#waiting.push(waiter);
    });
  }

  #admit(): void {
    for (let next = this.#next(); next && next.lease.bytes <= this.#freeBytes; next = this.#next()) {
      const admitted = next;
      this.#waiting = this.#waiting.filter((other) => other !== admitted);
      this.#grant(admitted.lease);
      admitted.admit();
    }
  }

  /** The first whose tenant may hold more; of one tenant none overtakes another. */
  #next(): Waiter | undefined {
    const behind = new Set<string>();
    for (const waiter of this.#waiting) {
      const { tenantId } = waiter.lease;
      if (!behind.has(tenantId) && !this.#mustWait(waiter.lease)) return waiter;
      behind.add(tenantId);
    }
    return undefined;
  }
}

const nothing = (): void => undefined;

const tooBusy = (): ServiceError =>
  new ServiceError(
    'unavailable',
    'Too much content is held in memory just now: try again. Uploads that send a Content-Length need none.',
    {
      retryAfterSeconds: 2,
    },
  );
