import { ServiceError } from '../../core/errors.ts';
import { limits } from '../../../runner/protocol/limits.ts';

export interface InFlightBounds {
  perSandbox: number;
  perTenantAndRunner: number;
  /** So many of a tenant on a runner may stand in line for a place, each for so long. */
  waitingPerTenantAndRunner: number;
  waitMs: number;
  /** What the next one is refused with. */
  code: 'rate_limited' | 'too_many_connections';
}
/** A program that asks for some hundred things at once is served in turn; one that does so without end is told to slow down. */
export const callsInFlight: InFlightBounds = {
  perSandbox: 64,
  perTenantAndRunner: 256,
  waitingPerTenantAndRunner: 256,
  waitMs: 5_000,
  code: 'rate_limited',
};
/** Requests to ports whose head has not come yet: a server that takes its time must not keep commands from running. */
export const portsInFlight: InFlightBounds = {
  perSandbox: limits.portConnectionsPerSandbox,
  perTenantAndRunner: limits.portConnectionsPerTenantAndNode,
  waitingPerTenantAndRunner: 0,
  waitMs: 0,
  code: 'too_many_connections',
};

interface Waiter {
  sandboxId: string;
  tenantKey: string;
  enter(leave: () => void): void;
}

/** Bounds what one caller can have under way in this shard. */
export class InFlight {
  readonly #counts = new Map<string, number>();
  readonly #waitingCounts = new Map<string, number>();
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiter>();
  readonly #bounds: InFlightBounds;

  constructor(bounds: InFlightBounds) {
    this.#bounds = bounds;
  }

  /** Returns what gives the place back, once. Throws the bounds' code, at once where too many wait already. */
  enter(sandboxId: string, tenantId: string, runnerId: string): (() => void) | Promise<() => void> {
    const tenantKey = `${tenantId}/${runnerId}`;
    const refused = this.#refusal(sandboxId, tenantKey);
    return refused === undefined ? this.#take(sandboxId, tenantKey) : this.#wait(refused, sandboxId, tenantKey);
  }

  #refusal(sandboxId: string, tenantKey: string): ServiceError | undefined {
    const { perSandbox, perTenantAndRunner, code } = this.#bounds;
    if (countOf(this.#counts, sandboxId) >= perSandbox) return tooMany(code, perSandbox, 'this sandbox');
    if (countOf(this.#counts, tenantKey) >= perTenantAndRunner) {
      return tooMany(code, perTenantAndRunner, 'you on this node');
    }
    return undefined;
  }

  async #wait(refused: ServiceError, sandboxId: string, tenantKey: string): Promise<() => void> {
    const { waitingPerTenantAndRunner, waitMs } = this.#bounds;
    if (countOf(this.#waitingCounts, tenantKey) >= waitingPerTenantAndRunner) throw refused;
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    const waiter: Waiter = { sandboxId, tenantKey, enter: resolve };
    this.#waiting.add(waiter);
    change(this.#waitingCounts, tenantKey, 1);
    const timer = setTimeout(() => reject(refused), waitMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(waiter);
      change(this.#waitingCounts, tenantKey, -1);
    }
  }

  #take(sandboxId: string, tenantKey: string): () => void {
    change(this.#counts, sandboxId, 1);
    change(this.#counts, tenantKey, 1);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      change(this.#counts, sandboxId, -1);
      change(this.#counts, tenantKey, -1);
      this.#admitNext(tenantKey);
    };
  }

  /** The place is the first one's of this tenant whose sandbox has room. */
  #admitNext(tenantKey: string): void {
    if (!this.#waitingCounts.has(tenantKey)) return;
    for (const waiter of this.#waiting) {
      if (waiter.tenantKey !== tenantKey || this.#refusal(waiter.sandboxId, tenantKey) !== undefined) continue;
      this.#waiting.delete(waiter);
      return waiter.enter(this.#take(waiter.sandboxId, tenantKey));
    }
  }
}

const countOf = (counts: ReadonlyMap<string, number>, key: string): number => counts.get(key) ?? 0;

const change = (counts: Map<string, number>, key: string, by: number): void => {
  const count = countOf(counts, key) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
};

const tooMany = (code: InFlightBounds['code'], count: number, whose: string): ServiceError =>
  new ServiceError(code, `${count} requests of ${whose} are in flight already. Wait for some to end.`, {
    retryAfterSeconds: 1,
  });
