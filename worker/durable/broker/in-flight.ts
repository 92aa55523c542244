import { ServiceError } from '../../core/errors.ts';

const PER_SANDBOX_REQUESTS = 64;
const PER_TENANT_AND_RUNNER_REQUESTS = 256;

/** Bounds what one caller can have under way in this shard. */
export class InFlight {
  readonly #counts = new Map<string, number>();

  /** Throws rate_limited; else returns what gives the place back, once. */
  enter(sandboxId: string, tenantId: string, runnerId: string): () => void {
    const tenantKey = `${tenantId}/${runnerId}`;
    if (this.#count(sandboxId) >= PER_SANDBOX_REQUESTS) throw tooMany(PER_SANDBOX_REQUESTS, 'this sandbox');
    if (this.#count(tenantKey) >= PER_TENANT_AND_RUNNER_REQUESTS)
      throw tooMany(PER_TENANT_AND_RUNNER_REQUESTS, 'you on this node');
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

const tooMany = (count: number, whose: string): ServiceError =>
  new ServiceError('rate_limited', `${count} requests of ${whose} are in flight already. Wait for some to end.`, {
    retryAfterSeconds: 1,
  });
