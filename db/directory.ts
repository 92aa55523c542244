import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { Scope } from './enums.ts';

/** The global database: who may do what. No joins with a cell's tables. Times are Unix milliseconds. */

export const tenants = sqliteTable('tenants', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  createdAtMs: integer('created_at_ms').notNull(),
  suspendedAtMs: integer('suspended_at_ms'),
  /** Limits on what is stored or running at once. */
  maxSandboxes: integer('max_sandboxes').notNull(),
  maxCpus: integer('max_cpus').notNull(),
  maxMemoryMiB: integer('max_memory_mib').notNull(),
  maxTtlSeconds: integer('max_ttl_seconds').notNull(),
  /** Token bucket per key. */
  requestsPerSecond: integer('requests_per_second').notNull(),
});

export const apiKeys = sqliteTable(
  'api_keys',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    name: text('name').notNull(),
    /** HMAC-SHA256(pepper, body), hex. The body itself is shown once and kept nowhere. */
    digest: text('digest').notNull(),
    /** Last four characters of the body, so that a person can tell keys apart. */
    hint: text('hint').notNull(),
    scopes: text('scopes', { mode: 'json' }).$type<Scope[]>().notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms'),
    revokedAtMs: integer('revoked_at_ms'),
    lastUsedAtMs: integer('last_used_at_ms'),
  },
  (table) => [
    uniqueIndex('api_keys_digest').on(table.digest),
    index('api_keys_tenant').on(table.tenantId, table.createdAtMs, table.id),
  ],
);

export const templates = sqliteTable('templates', {
  name: text('name').primaryKey(),
  image: text('image').notNull(),
  /** Warm containers each runner should hold, for network on and off together. */
  warmCount: integer('warm_count').notNull(),
  createdAtMs: integer('created_at_ms').notNull(),
});

export type Tenant = typeof tenants.$inferSelect;
export type ApiKey = typeof apiKeys.$inferSelect;
export type Template = typeof templates.$inferSelect;
