import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { DiskPurpose, Scope, SnapshotPurpose, SnapshotState } from './enums.ts';

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
  maxStorageBytes: integer('max_storage_bytes')
    .notNull()
    .default(100 * 1024 ** 3),
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

/** Whom a tenant's disks and skills belong to, by the tenant's own word. */
export const users = sqliteTable(
  'users',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    identifier: text('identifier').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    updatedAtMs: integer('updated_at_ms').notNull(),
  },
  (table) => [
    uniqueIndex('users_identifier').on(table.tenantId, table.identifier),
    index('users_tenant').on(table.tenantId, table.createdAtMs, table.id),
  ],
);

export const disks = sqliteTable(
  'disks',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    userId: text('user_id').references(() => users.id, { onDelete: 'cascade' }),
    /** A skill's files lie on a disk of their own, which lists of disks leave out. */
    purpose: text('purpose').$type<DiskPurpose>().notNull(),
    name: text('name').notNull(),
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    updatedAtMs: integer('updated_at_ms').notNull(),
  },
  (table) => [
    index('disks_tenant').on(table.tenantId, table.purpose, table.createdAtMs, table.id),
    index('disks_user').on(table.userId),
  ],
);

/**
 * A file of a disk. The migrations' triggers count what it refers to: see blobs. `path` begins and ends with a slash, and a directory is
 * there as long as something lies in it.
 */
export const artifacts = sqliteTable(
  'artifacts',
  {
    id: text('id').primaryKey(),
    diskId: text('disk_id')
      .notNull()
      .references(() => disks.id, { onDelete: 'cascade' }),
    path: text('path').notNull(),
    name: text('name').notNull(),
    blobId: text('blob_id').notNull(),
    sizeBytes: integer('size_bytes').notNull(),
    contentType: text('content_type').notNull(),
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    /** Fresh at every change of content or metadata. */
    etag: text('etag').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    updatedAtMs: integer('updated_at_ms').notNull(),
  },
  (table) => [uniqueIndex('artifacts_place').on(table.diskId, table.path, table.name)],
);

/**
 * Bytes in R2, under `blobs/<tenant>/<id>`, shared by a tenant's artifacts of the same content. Triggers keep `refs`; at zero a blob is condemned
 * and never revived: equal content that comes later is stored anew, and the sweep deletes the old a day later, when no reader can be left.
 */
export const blobs = sqliteTable(
  'blobs',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    /** `sha256:<hex>`; null where the bytes did not pass through the worker. */
    digest: text('digest'),
    sizeBytes: integer('size_bytes').notNull(),
    refs: integer('refs').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    condemnedAtMs: integer('condemned_at_ms'),
  },
  (table) => [
    uniqueIndex('blobs_live')
      .on(table.tenantId, table.digest)
      .where(sql`condemned_at_ms is null`),
    index('blobs_condemned').on(table.condemnedAtMs),
  ],
);

/** What a tenant takes, here and in R2. Kept by triggers, which also refuse records past their bound: a row for each tenant. */
export const tenantStorage = sqliteTable('tenant_storage', {
  tenantId: text('tenant_id').primaryKey(),
  /** Of live blobs and of the parts of open uploads. */
  bytes: integer('bytes').notNull(),
  /** About what the rows of artifacts, disks, users, skills and uploads take in this database. */
  recordBytes: integer('record_bytes').notNull().default(0),
  /** Of blobs that are condemned and not yet swept. */
  condemnedBytes: integer('condemned_bytes').notNull().default(0),
  condemnedCount: integer('condemned_count').notNull().default(0),
});

/** Resumable uploads: those under way, and for a day those that were completed. */
export const uploads = sqliteTable(
  'uploads',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    diskId: text('disk_id').notNull(),
    path: text('path').notNull(),
    name: text('name').notNull(),
    /** The blob that it becomes. */
    blobId: text('blob_id').notNull(),
    /** R2's name of the multipart upload. */
    multipartId: text('multipart_id').notNull(),
    partBytes: integer('part_bytes').notNull(),
    contentType: text('content_type'),
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, unknown>>(),
    /** 'direct': parts go to R2 by presigned URLs, not through the worker. */
    way: text('way').$type<'relayed' | 'direct'>().notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms').notNull(),
    /** What it became. The row stays until it expires, so that a repeated complete has its answer; null: open. */
    artifactId: text('artifact_id'),
  },
  (table) => [index('uploads_tenant').on(table.tenantId), index('uploads_expires').on(table.expiresAtMs)],
);

export const uploadParts = sqliteTable(
  'upload_parts',
  {
    uploadId: text('upload_id')
      .notNull()
      .references(() => uploads.id, { onDelete: 'cascade' }),
    part: integer('part').notNull(),
    tenantId: text('tenant_id').notNull(),
    /** R2's; empty while it is being written. */
    etag: text('etag').notNull(),
    /** SHA-256 of its bytes, hex; while it is being written, which write has it. */
    digest: text('digest').notNull(),
    sizeBytes: integer('size_bytes').notNull(),
  },
  (table) => [primaryKey({ columns: [table.uploadId, table.part] })],
);

/** Instructions and files for agents, mounted into sandboxes under /skills/<name>. */
export const skills = sqliteTable(
  'skills',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    userId: text('user_id').references(() => users.id, { onDelete: 'cascade' }),
    diskId: text('disk_id')
      .notNull()
      .references(() => disks.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    description: text('description').notNull(),
    metadata: text('metadata', { mode: 'json' }).$type<Record<string, unknown>>(),
    createdAtMs: integer('created_at_ms').notNull(),
    updatedAtMs: integer('updated_at_ms').notNull(),
  },
  (table) => [
    index('skills_tenant').on(table.tenantId, table.createdAtMs, table.id),
    index('skills_user').on(table.userId),
    index('skills_disk').on(table.diskId),
  ],
);

/**
 * The files of a sandbox at one moment: an object in R2, under `snapshots/<tenant>/<id>`, sealed by a key that is derived from the pepper and
 * the id. `ready` is written after the object is whole. Triggers count its bytes as the tenant's.
 */
export const snapshots = sqliteTable(
  'snapshots',
  {
    id: text('id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    /** What it was taken of, and where; that node may still have a copy. */
    sandboxId: text('sandbox_id').notNull(),
    runnerId: text('runner_id').notNull(),
    purpose: text('purpose').$type<SnapshotPurpose>().notNull(),
    state: text('state').$type<SnapshotState>().notNull(),
    /** The tenant's own; of two with the same name and tag the older goes. */
    name: text('name'),
    tag: text('tag').notNull(),
    template: text('template').notNull(),
    /** The image under its files, by the hash of its content; empty until it was taken. */
    image: text('image').notNull(),
    cpus: real('cpus').notNull(),
    memoryMiB: integer('memory_mib').notNull(),
    /** Whether processes go on where they were in what boots from it. */
    memoryKept: integer('memory_kept', { mode: 'boolean' }).notNull(),
    /** Of the object, counted from before it is written. */
    sizeBytes: integer('size_bytes').notNull(),
    /** Of the files in it. */
    contentBytes: integer('content_bytes').notNull(),
    /** R2's name of the upload, while there is one. */
    multipartId: text('multipart_id'),
    createdAtMs: integer('created_at_ms').notNull(),
    /** When the sweep removes it with its object; null: never. */
    sweepAtMs: integer('sweep_at_ms'),
  },
  (table) => [
    index('snapshots_tenant').on(table.tenantId, table.createdAtMs, table.id),
    uniqueIndex('snapshots_name')
      .on(table.tenantId, table.name, table.tag)
      .where(sql`state = 'ready' and name is not null`),
    index('snapshots_sweep').on(table.sweepAtMs),
  ],
);

/** Objects in the bucket that no row knows, as the sweep found them. Nobody removes them but the administrator. */
export const orphans = sqliteTable('orphans', {
  key: text('key').primaryKey(),
  sizeBytes: integer('size_bytes').notNull(),
  uploadedAtMs: integer('uploaded_at_ms').notNull(),
  foundAtMs: integer('found_at_ms').notNull(),
});

export type User = typeof users.$inferSelect;
export type Disk = typeof disks.$inferSelect;
export type Artifact = typeof artifacts.$inferSelect;
export type Upload = typeof uploads.$inferSelect;
export type Snapshot = typeof snapshots.$inferSelect;
export type Skill = typeof skills.$inferSelect;
export type Tenant = typeof tenants.$inferSelect;
export type ApiKey = typeof apiKeys.$inferSelect;
export type Template = typeof templates.$inferSelect;
