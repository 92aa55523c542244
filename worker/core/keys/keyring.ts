import { toHex } from '../hex.ts';
import { keepRecent } from '../keep-recent.ts';
import { asc, eq } from 'drizzle-orm';
import { apiKeys, tenants, type ApiKey, type Tenant } from '../../../db/directory.ts';
import type { DirectoryDb } from '../../../db/client.ts';

/** How long a revocation made in another isolate can stay unnoticed here. */
const cachedForMs = 30_000;
const cachedKeysCount = 10_000;
/** Apart from the known: who tries keys out must not push theirs out. */
const unknownDigestsCount = 10_000;

export interface HeldKey {
  key: ApiKey;
  tenant: Tenant;
}

interface Entry {
  held: HeldKey;
  readAtMs: number;
}

/** Bodies of keys are never stored, only HMAC-SHA256(pepper, body): a stolen database signs nobody in. */
export class Keyring {
  readonly #pepper: string;
  readonly #entries = new Map<string, Entry>();
  /** When each was last looked for in vain. */
  readonly #unknown = new Map<string, number>();
  readonly #oldest = new Map<string, { tenant: Tenant; readAtMs: number }>();
  #hmacKey: CryptoKey | undefined;

  constructor(pepper: string) {
    this.#pepper = pepper;
  }

  /** Hex. */
  async digest(body: string): Promise<string> {
    this.#hmacKey ??= await crypto.subtle.importKey(
      'raw',
      new TextEncoder().encode(this.#pepper),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['sign'],
    );
    const signature = await crypto.subtle.sign('HMAC', this.#hmacKey, new TextEncoder().encode(body));
    return toHex(new Uint8Array(signature));
  }

  /** The key and its tenant, at most cachedForMs old. Unknown digests are remembered too, so that a repeated guess costs no database. */
  async find(directory: DirectoryDb, digest: string, nowMs: number): Promise<HeldKey | undefined> {
    const cached = this.#entries.get(digest);
    if (cached && nowMs - cached.readAtMs < cachedForMs) return cached.held;
    const missedAtMs = this.#unknown.get(digest);
    if (missedAtMs !== undefined && nowMs - missedAtMs < cachedForMs) return undefined;
    const [row] = await directory
      .select({ key: apiKeys, tenant: tenants })
      .from(apiKeys)
      .innerJoin(tenants, eq(tenants.id, apiKeys.tenantId))
      .where(eq(apiKeys.digest, digest))
      .limit(1);
    this.#entries.delete(digest);
    this.#unknown.delete(digest);
    if (row) keepRecent(this.#entries, cachedKeysCount, digest, { held: row, readAtMs: nowMs });
    else keepRecent(this.#unknown, unknownDigestsCount, digest, nowMs);
    return row;
  }

  /** By name; cached as keys are. One that there is not yet is looked for again each time. */
  async findOldestTenant(directory: DirectoryDb, name: string, nowMs: number): Promise<Tenant | undefined> {
    const cached = this.#oldest.get(name);
    if (cached && nowMs - cached.readAtMs < cachedForMs) return cached.tenant;
    const [tenant] = await directory
      .select()
      .from(tenants)
      .where(eq(tenants.name, name))
      .orderBy(asc(tenants.createdAtMs), asc(tenants.id))
      .limit(1);
    this.#oldest.clear();
    if (tenant) this.#oldest.set(name, { tenant, readAtMs: nowMs });
    return tenant;
  }

  /** After a revocation: it holds at once in this isolate. */
  forgetKey(keyId: string): void {
    this.#forget((held) => held.key.id === keyId);
  }

  /** After a tenant was suspended or its limits changed. */
  forgetTenant(tenantId: string): void {
    this.#forget((held) => held.tenant.id === tenantId);
    this.#oldest.clear();
  }

  #forget(matches: (held: HeldKey) => boolean): void {
    for (const [digest, { held }] of this.#entries) {
      if (matches(held)) this.#entries.delete(digest);
    }
  }
}
