import { eq } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { tenants, type Tenant } from '../../../db/directory.ts';
import { clientNetworkOf } from './client-network.ts';
import { ServiceError } from '../errors.ts';
import { isSandboxId } from '../ids.ts';
import { keepRecent } from '../keep-recent.ts';
import type { Actor, Services } from '../ports.ts';
import { TokenBuckets } from '../token-buckets.ts';

const cachedForMs = 30_000;
const cachedCount = 10_000;
/** Ids that nothing is behind, apart: who guesses them must not drive out what is there. */
const cachedMissingCount = 1_000;
/** Look-ups in vain from one network, by one isolate; each is a read of the database. */
const missesPerSecond = 100;
const networksCount = 1_000;

/** What decides who may reach a sandbox without an API key. Fixed when it is made, so that it may be cached. */
export interface SandboxAccess {
  sandboxId: string;
  tenant: Tenant;
  template: string;
  /** Its envd surface asks for no token. */
  envdOpen: boolean;
  /** Its ports are reached without a traffic token. */
  publicPorts: boolean;
  maskRequestHost: string | null;
  /** Traffic wakes it while it is paused. */
  autoResume: boolean;
  /** Of its envd surface, once it was made here: each request brings it, and a MAC a request is a good part of what one costs. */
  envdToken?: Uint8Array;
}

interface Entry {
  access: SandboxAccess;
  readAtMs: number;
}

/** sandbox → who may reach it, at most cachedForMs old: requests to a sandbox itself bring no key and must cost no database. */
export class SandboxAccesses {
  readonly #found = new Map<string, Entry>();
  /** Read in vain, and when. */
  readonly #missing = new Map<string, number>();
  readonly #misses = new TokenBuckets(networksCount);

  /** undefined: there is none, it has ended, or its tenant is suspended. `asker`: an address. Throws rate_limited. */
  async find(
    services: Pick<Services, 'cell' | 'directory' | 'now'>,
    sandboxId: string,
    asker: string,
  ): Promise<SandboxAccess | undefined> {
    if (!isSandboxId(sandboxId)) return undefined;
    const nowMs = services.now();
    const cached = this.#found.get(sandboxId);
    if (cached && nowMs - cached.readAtMs < cachedForMs) return cached.access;
    if (nowMs - (this.#missing.get(sandboxId) ?? -Infinity) < cachedForMs) return undefined;
    const network = clientNetworkOf(asker);
    // Counted before it is known, so that many at once are no way round it.
    if (this.#misses.take(network, missesPerSecond, 1, nowMs) === 0) throw tooManyMisses();
    const access = await read(services, sandboxId);
    if (access === undefined) {
      keepRecent(this.#missing, cachedMissingCount, sandboxId, nowMs);
      this.#found.delete(sandboxId);
    } else {
      this.#misses.giveBack(network);
      keepRecent(this.#found, cachedCount, sandboxId, { access, readAtMs: nowMs });
    }
    return access;
  }

  /** Of one that was just made here. */
  note(row: Sandbox, tenant: Tenant, nowMs: number): void {
    keepRecent(this.#found, cachedCount, row.id, { access: accessOf(row, tenant), readAtMs: nowMs });
  }
}

const tooManyMisses = (): ServiceError =>
  new ServiceError('rate_limited', 'Too many sandboxes were asked for that are not there; wait a second.', {
    retryAfterSeconds: 1,
  });

const read = async (
  { cell, directory }: Pick<Services, 'cell' | 'directory'>,
  sandboxId: string,
): Promise<SandboxAccess | undefined> => {
  const [row] = await cell.select().from(sandboxes).where(eq(sandboxes.id, sandboxId)).limit(1);
  if (!row || row.state === 'ended') return undefined;
  const [tenant] = await directory.select().from(tenants).where(eq(tenants.id, row.tenantId)).limit(1);
  return tenant && tenant.suspendedAtMs === null ? accessOf(row, tenant) : undefined;
};

const accessOf = (row: Sandbox, tenant: Tenant): SandboxAccess => ({
  sandboxId: row.id,
  tenant,
  template: row.template,
  envdOpen: row.envdOpen,
  publicPorts: row.publicPorts,
  maskRequestHost: row.maskRequestHost,
  autoResume: row.autoResume,
});

/** Who speaks to a sandbox by its own token: the tenant, with a rate of the sandbox's own. */
export const actorOfSandbox = ({ sandboxId, tenant }: SandboxAccess): Actor => ({
  tenant,
  keyId: `sandbox-${sandboxId}`,
  scopes: ['read', 'write'],
  keyExpiresAtMs: null,
});
