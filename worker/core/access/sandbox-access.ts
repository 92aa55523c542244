import { eq } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { tenants, type Tenant } from '../../../db/directory.ts';
import { isSandboxId } from '../ids.ts';
import type { Actor, Services } from '../ports.ts';

const cachedForMs = 30_000;
const cachedCount = 10_000;

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
}

interface Entry {
  access: SandboxAccess | undefined;
  readAtMs: number;
}

/** sandbox → who may reach it, at most cachedForMs old: requests to a sandbox itself bring no key and must cost no database. */
export class SandboxAccesses {
  readonly #entries = new Map<string, Entry>();

  /** undefined: there is none, it has ended, or its tenant is suspended. */
  async find(
    services: Pick<Services, 'cell' | 'directory' | 'now'>,
    sandboxId: string,
  ): Promise<SandboxAccess | undefined> {
    if (!isSandboxId(sandboxId)) return undefined;
    const cached = this.#entries.get(sandboxId);
    const nowMs = services.now();
    if (cached && nowMs - cached.readAtMs < cachedForMs) return cached.access;
    const access = await read(services, sandboxId);
    this.#keep(sandboxId, { access, readAtMs: nowMs });
    return access;
  }

  /** Of one that was just made here. */
  note(row: Sandbox, tenant: Tenant, nowMs: number): void {
    this.#keep(row.id, { access: accessOf(row, tenant), readAtMs: nowMs });
  }

  #keep(sandboxId: string, entry: Entry): void {
    this.#entries.delete(sandboxId);
    while (this.#entries.size >= cachedCount) {
      const oldest = this.#entries.keys().next();
      if (oldest.done) break;
      this.#entries.delete(oldest.value);
    }
    this.#entries.set(sandboxId, entry);
  }
}

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
