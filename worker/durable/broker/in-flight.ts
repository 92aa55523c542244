import { ServiceError } from '../../core/errors.ts';
import { limits } from '../../../runner/protocol/limits.ts';

export interface InFlightBounds {
  perSandbox: number;
  perTenantAndRunner: number;
  /** What the next one is refused with. */
  code: 'rate_limited' | 'too_many_connections';
}
export const callsInFlight: InFlightBounds = { perSandbox: 64, perTenantAndRunner: 256, code: 'rate_limited' };
/** Requests to ports whose head has not come yet: a server that takes its time must not keep commands from running. */
export const portsInFlight: InFlightBounds = {
  perSandbox: limits.portConnectionsPerSandbox,
  perTenantAndRunner: limits.portConnectionsPerTenantAndNode,
  code: 'too_many_connections',
};

/** Bounds what one caller can have under way in this shard. */
export class InFlight {
  readonly #counts = new Map<string, number>();
  readonly #bounds: InFlightBounds;

  constructor(bounds: InFlightBounds) {
    this.#bounds = bounds;
  }

  /** Throws the bounds' code; else returns what gives the place back, once. */
  enter(sandboxId: string, tenantId: string, runnerId: string): () => void {
    const tenantKey = `${tenantId}/${runnerId}`;
    const { perSandbox, perTenantAndRunner, code } = this.#bounds;
    if (this.#count(sandboxId) >= perSandbox) throw tooMany(code, perSandbox, 'this sandbox');
    if (this.#count(tenantKey) >= perTenantAndRunner) throw tooMany(code, perTenantAndRunner, 'you on this node');
    this.#add(sandboxId, 1);
    this.#add(tenantKey, 1);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#add(sandboxId, -1);
      this.#add(tenantKey, -1);
    };
  }

  #count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  #add(key: string, change: number): void {
    const count = this.#count(key) + change;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

const tooMany = (code: InFlightBounds['code'], count: number, whose: string): ServiceError =>
  new ServiceError(code, `${count} requests of ${whose} are in flight already. Wait for some to end.`, {
    retryAfterSeconds: 1,
  });
