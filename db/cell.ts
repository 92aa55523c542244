import { sql } from 'drizzle-orm';
import { index, integer, real, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { EventKind, OpenJob, PersistedState, TimeoutAction } from './enums.ts';
import type { EndReason, ExecRecord } from '../runner/protocol/node-report.ts';

/** Addresses (CIDR or single) that a sandbox may or may not reach; what is allowed outranks what is denied. */
export interface EgressRules {
  allow: string[];
  deny: string[];
}

/** One region's database: its runners and what runs on them. Times are Unix milliseconds. */

export const runners = sqliteTable(
  'runners',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    installationId: text('installation_id').notNull(),
    /** HMAC-SHA256(pepper, secret), hex. */
    secretDigest: text('secret_digest').notNull(),
    joinedAtMs: integer('joined_at_ms').notNull(),
    /** Of the last state change that Fleet wrote, not of the last beat. */
    seenAtMs: integer('seen_at_ms').notNull(),
    status: text('status').$type<'online' | 'unreachable' | 'draining' | 'left'>().notNull(),
  },
  (table) => [uniqueIndex('runners_secret').on(table.secretDigest)],
);

export const sandboxes = sqliteTable(
  'sandboxes',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    template: text('template').notNull(),
    image: text('image').notNull(),
    state: text('state').$type<PersistedState>().notNull(),
    endReason: text('end_reason').$type<EndReason>(),
    /** Fences: epoch counts placements and restores, revision lifecycle verbs. */
    epoch: integer('epoch').notNull(),
    revision: integer('revision').notNull(),
    /** Written afresh by every change; what depends on the change is guarded by it, and it tells whether a lost answer was applied. */
    lastOp: text('last_op').notNull(),
    /** The one lifecycle job in flight. */
    openJob: text('open_job').$type<OpenJob>(),
    openJobDeadlineMs: integer('open_job_deadline_ms'),
    runnerId: text('runner_id'),
    network: text('network').$type<'on' | 'off'>().notNull(),
    cpus: real('cpus').notNull(),
    memoryMiB: integer('memory_mib').notNull(),
    deadlineMode: text('deadline_mode').$type<'fixed' | 'idle'>().notNull(),
    ttlMs: integer('ttl_ms').notNull(),
    /** A lower bound: the runner holds the real one. */
    expiresAtMs: integer('expires_at_ms'),
    onTimeout: text('on_timeout').$type<TimeoutAction>().notNull().default('kill'),
    /** Of a pause at the timeout: whether processes go on afterwards, or only the files are kept. */
    keepMemory: integer('keep_memory', { mode: 'boolean' }).notNull().default(true),
    /** Of the pause that it is in, or that is under way: whether processes go on after it, and whether their memory was given back. */
    memoryKept: integer('memory_kept', { mode: 'boolean' }),
    memoryFreed: integer('memory_freed', { mode: 'boolean' }),
    /** Traffic to a port wakes it while it is paused. */
    autoResume: integer('auto_resume', { mode: 'boolean' }).notNull().default(false),
    /** E2B's `secure: false`: its envd surface asks for no token. */
    envdOpen: integer('envd_open', { mode: 'boolean' }).notNull().default(false),
    /** Whether its ports are reached without a traffic token. */
    publicPorts: integer('public_ports', { mode: 'boolean' }).notNull().default(true),
    /** The Host that servers inside see, `${PORT}` in it replaced; null: the one that the client asked for. */
    maskRequestHost: text('mask_request_host'),
    egress: text('egress', { mode: 'json' })
      .$type<EgressRules>()
      .notNull()
      .default(sql`'{"allow":[],"deny":[]}'`),
    /** What it was booted from, instead of its template's image. */
    snapshotId: text('snapshot_id'),
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, string>>().notNull(),
    /** Values are the tenant's own; never logged. Kept for re-placement until the sandbox runs, then emptied. */
    env: text('env', { mode: 'json' }).$type<Record<string, string>>().notNull(),
    idempotencyKey: text('idempotency_key'),
    /** SHA-256 of the create request's canonical body, hex. */
    idempotencyHash: text('idempotency_hash'),
    createdAtMs: integer('created_at_ms').notNull(),
    startedAtMs: integer('started_at_ms'),
    pausedAtMs: integer('paused_at_ms'),
    endedAtMs: integer('ended_at_ms'),
  },
  (table) => [
    index('sandboxes_tenant_created').on(table.tenantId, table.createdAtMs, table.id),
    index('sandboxes_tenant_state').on(table.tenantId, table.state),
    index('sandboxes_runner_state').on(table.runnerId, table.state),
    index('sandboxes_open_job').on(table.openJobDeadlineMs),
    uniqueIndex('sandboxes_idempotency').on(table.tenantId, table.idempotencyKey),
  ],
);

/** A sandbox's lifecycle, for GET …/logs. */
export const sandboxEvents = sqliteTable(
  'sandbox_events',
  {
    id: integer('id').primaryKey({ autoIncrement: true }),
    sandboxId: text('sandbox_id').notNull(),
    atMs: integer('at_ms').notNull(),
    kind: text('kind').$type<EventKind>().notNull(),
    /** One sentence. */
    message: text('message').notNull(),
  },
  (table) => [index('sandbox_events_sandbox').on(table.sandboxId, table.id)],
);

/** Execs as runners report them, one row a batch. At most 1,000 records a sandbox, 7 days. */
export const execHistory = sqliteTable(
  'exec_history',
  {
    id: integer('id').primaryKey({ autoIncrement: true }),
    sandboxId: text('sandbox_id').notNull(),
    atMs: integer('at_ms').notNull(),
    count: integer('count').notNull(),
    records: text('records', { mode: 'json' }).$type<ExecRecord[]>().notNull(),
  },
  (table) => [index('exec_history_sandbox').on(table.sandboxId, table.id), index('exec_history_at').on(table.atMs)],
);

/** Files that were taken out of a sandbox onto a disk. At most 1,000 a sandbox, 7 days. */
export const generatedFiles = sqliteTable(
  'generated_files',
  {
    id: integer('id').primaryKey({ autoIncrement: true }),
    sandboxId: text('sandbox_id').notNull(),
    atMs: integer('at_ms').notNull(),
    /** In the sandbox, absolute. */
    path: text('path').notNull(),
  },
  (table) => [
    index('generated_files_sandbox').on(table.sandboxId, table.id),
    index('generated_files_at').on(table.atMs),
  ],
);

export type SandboxEvent = typeof sandboxEvents.$inferSelect;
export type Sandbox = typeof sandboxes.$inferSelect;
export type GeneratedFile = typeof generatedFiles.$inferSelect;
export type Runner = typeof runners.$inferSelect;
