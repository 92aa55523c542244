import { and, eq, inArray, isNull, sql, type SQL } from 'drizzle-orm';
import { artifacts, blobs, disks, uploadParts, uploads } from '../../../db/directory.ts';
import { newArtifactId, newEtag } from '../ids.ts';
import type { Context } from '../ports.ts';
import type { ArtifactWrite, CommitOptions } from './commit-artifacts.ts';
import { preconditionHolds } from './precondition.ts';
import { fitsQuota } from './storage-quota.ts';

/** One write as the statements read it, out of one JSON parameter: D1 takes at most 100 of them. */
const entryOf = ({ path, name, contentType, blob }: ArtifactWrite) => ({
  id: newArtifactId(),
  etag: newEtag(),
  path,
  name,
  type: contentType,
  blobId: blob.blobId,
  digest: blob.digest,
  size: blob.sizeBytes,
});
type Entry = ReturnType<typeof entryOf>;

/** What all statements of a commit speak of. */
interface Commit {
  ctx: Context;
  diskId: string;
  writes: readonly ArtifactWrite[];
  options: CommitOptions;
  entries: readonly Entry[];
  /** `from ${given}`: a row for each entry, whose fields `field` names. */
  given: SQL;
  field: (name: keyof Entry) => SQL;
  /** The id of the blob that an entry of `given` is to refer to, null where there is none. */
  live: SQL;
  nowMs: number;
}

const commitOf = (ctx: Context, diskId: string, writes: readonly ArtifactWrite[], options: CommitOptions): Commit => {
  const entries = writes.map(entryOf);
  const field = (name: keyof Entry) => sql`given.value ->> ${sql.raw(`'${name}'`)}`;
  const tenantId = ctx.actor.tenant.id;
  // Two look-ups: with «or» between them the index gives all blobs of the tenant.
  const live = sql`coalesce(
    (select live.id from ${blobs} as live where live.condemned_at_ms is null and live.tenant_id = ${tenantId} and live.digest = ${field('digest')}),
    (select own.id from ${blobs} as own where own.condemned_at_ms is null and own.tenant_id = ${tenantId} and own.id = ${field('blobId')}))`;
  const given = sql`json_each(${JSON.stringify(entries)}) as given`;
  return { ctx, diskId, writes, options, entries, given, field, live, nowMs: ctx.now() };
};

/** The commit as statements of one batch; the second one answers the artifacts. `isNew`: nothing was there before. */
export const commitStatements = (...input: Parameters<typeof commitOf>) => {
  const commit = commitOf(...input);
  const newIds = new Set(commit.entries.map(({ id }) => id));
  return {
    statements: [insertBlobs(commit), upsertArtifacts(commit), dropUnused(commit), ...endUpload(commit)] as const,
    isNew: (artifactId: string): boolean => newIds.has(artifactId),
  };
};

/** Those whose content the tenant does not have yet, if its limit allows them all. */
const insertBlobs = (commit: Commit) => {
  const { ctx, given, field, nowMs } = commit;
  return ctx.directory
    .insert(blobs)
    .select(
      sql`select ${field('blobId')}, ${ctx.actor.tenant.id}, ${field('digest')}, ${field('size')}, 0, ${nowMs}, null from ${given}
        where ${fitsQuota(ctx, addedBytes(commit), freedBytes(commit))}`,
    )
    .onConflictDoNothing();
};

/** What the commit adds to what the tenant stores; equal content counts once. */
const addedBytes = ({ given, field, live, options: { uploadId } }: Commit): SQL => {
  const stored = sql`(select coalesce(sum(size), 0) from (select max(${field('size')}) as size from ${given} where ${live} is null
    group by coalesce(${field('digest')}, ${field('blobId')})))`;
  // Parts count until the commit, and the blob that they make up from then on: never both.
  const parts =
    uploadId === undefined
      ? sql`0`
      : sql`(select coalesce(sum(part.size_bytes), 0) from ${uploadParts} as part where part.upload_id = ${uploadId})`;
  return sql`${stored} - ${parts}`;
};

/** What only the overwritten artifacts refer to. */
const freedBytes = ({ diskId, given, field, live }: Commit): SQL =>
  sql`(select coalesce(sum(was.size_bytes), 0) from (select old.blob_id as id, count(*) as refs from ${given}
    cross join ${artifacts} as old on old.disk_id = ${diskId} and old.path = ${field('path')} and old.name = ${field('name')}
    group by old.blob_id) as let_go join ${blobs} as was on was.id = let_go.id
    where was.refs = let_go.refs and was.id not in (select ${live} from ${given} where ${live} is not null))`;

/** All of them, if the disk is the tenant's, every one has its blob, and the caller's conditions hold; else none. */
const upsertArtifacts = ({ ctx, diskId, writes, options, given, field, live, nowMs }: Commit) => {
  const { metadata, precondition, uploadId } = options;
  const [first] = writes;
  const allowed = and(
    sql`exists (select 1 from ${disks} where ${disks.id} = ${diskId} and ${disks.tenantId} = ${ctx.actor.tenant.id})`,
    sql`not exists (select 1 from ${given} where ${live} is null)`,
    first && precondition && preconditionHolds(diskId, first, precondition),
    uploadId === undefined ? undefined : sql`exists (select 1 from ${uploads} where ${isOpen(uploadId)})`,
  );
  return ctx.directory
    .insert(artifacts)
    .select(
      sql`select ${field('id')}, ${diskId}, ${field('path')}, ${field('name')}, ${live}, ${field('size')}, ${field('type')},
        ${JSON.stringify(metadata ?? {})}, ${field('etag')}, ${nowMs}, ${nowMs} from ${given} where ${allowed}`,
    )
    .onConflictDoUpdate({
      target: [artifacts.diskId, artifacts.path, artifacts.name],
      set: {
        blobId: sql`excluded.blob_id`,
        sizeBytes: sql`excluded.size_bytes`,
        contentType: sql`excluded.content_type`,
        etag: sql`excluded.etag`,
        updatedAtMs: nowMs,
        ...(metadata === undefined ? {} : { metadata }),
      },
    })
    .returning();
};

/** The blobs that were inserted in vain. */
const dropUnused = ({ ctx, given, field }: Commit) =>
  ctx.directory.delete(blobs).where(
    and(
      inArray(blobs.id, sql`(select ${field('blobId')} from ${given})`),
      eq(blobs.refs, 0),
      // The plus keeps the index of the condemned out of it, which would give every live blob there is.
      sql`+${blobs.condemnedAtMs} is null`,
    ),
  );

/** If the artifact was written: the upload is complete, and its parts no longer count. */
const endUpload = ({ ctx, diskId, options: { uploadId }, given, field }: Commit) => {
  if (uploadId === undefined) return [];
  const written = sql`(select made.id from ${artifacts} as made, ${given} where made.disk_id = ${diskId} and made.path = ${field('path')}
    and made.name = ${field('name')} and made.etag = ${field('etag')})`;
  return [
    ctx.directory.update(uploads).set({ artifactId: written }).where(isOpen(uploadId)),
    ctx.directory.delete(uploadParts).where(and(eq(uploadParts.uploadId, uploadId), sql`exists ${written}`)),
  ];
};

const isOpen = (uploadId: string): SQL | undefined => and(eq(uploads.id, uploadId), isNull(uploads.artifactId));
