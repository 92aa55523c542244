import { eq } from 'drizzle-orm';
import { apiKeys, tenants, type ApiKey, type Tenant } from '../../../db/directory.ts';
import type { DirectoryDb } from '../../../db/client.ts';

/** How long a revocation made in another isolate can stay unnoticed here. */
const cachedForMs = 30_000;
const cachedKeysCount = 10_000;

export interface HeldKey {
  key: ApiKey;
  tenant: Tenant;
}

interface Entry {
  held: HeldKey | undefined;
  readAtMs: number;
}

/** Bodies of keys are never stored, only HMAC-SHA256(pepper, body): a stolen database signs nobody in. */
export class Keyring {
  readonly #pepper: string;
  readonly #entries = new Map<string, Entry>();
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
    return Array.from(new Uint8Array(signature), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** The key and its tenant, at most cachedForMs old. Unknown digests are remembered too, so that a guesser costs no database. */
  async find(directory: DirectoryDb, digest: string, nowMs: number): Promise<HeldKey | undefined> {
    const cached = this.#entries.get(digest);
    if (cached && nowMs - cached.readAtMs < cachedForMs) return cached.held;
    const [row] = await directory
      .select({ key: apiKeys, tenant: tenants })
      .from(apiKeys)
      .innerJoin(tenants, eq(tenants.id, apiKeys.tenantId))
      .where(eq(apiKeys.digest, digest))
      .limit(1);
    this.#entries.delete(digest);
    while (this.#entries.size >= cachedKeysCount) {
      const oldest = this.#entries.keys().next();
      if (oldest.done) break;
      this.#entries.delete(oldest.value);
    }
    this.#entries.set(digest, { held: row, readAtMs: nowMs });
    return row;
  }

  /** After a revocation: it holds at once in this isolate. */
  forgetKey(keyId: string): void {
    this.#forget((held) => held.key.id === keyId);
  }

  /** After a tenant was suspended or its limits changed. */
  forgetTenant(tenantId: string): void {
    this.#forget((held) => held.tenant.id === tenantId);
  }

  #forget(matches: (held: HeldKey) => boolean): void {
    for (const [digest, { held }] of this.#entries) {
      if (held && matches(held)) this.#entries.delete(digest);
    }
  }
}
