import { and, eq, inArray, isNull, sql, type SQL } from 'drizzle-orm';
import { artifacts, blobs, disks, tenantStorage, uploadParts, uploads, type Artifact } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import { newArtifactId, newEtag } from '../ids.ts';
import type { Context } from '../ports.ts';
import { checkPrecondition, preconditionHolds, type Precondition } from './precondition.ts';
import { unstage, type StagedBlob } from './stage-bytes.ts';

export interface ArtifactWrite {
  /** '/dir/' */
  path: string;
  name: string;
  blob: StagedBlob;
  contentType: string;
}

export interface CommitOptions {
  /** The artifacts' new metadata. Undefined: what is overwritten keeps its own. */
  metadata?: Record<string, unknown> | undefined;
  /** Of a single write. */
  precondition?: Precondition | undefined;
  /** The open upload that the blob of a single write comes from. It is completed with the commit, and its parts no longer count. */
  uploadId?: string | undefined;
}

export interface CommittedArtifact extends Artifact {
  /** Nothing was there before. */
  created: boolean;
}

/** What one statement takes as a JSON parameter stays under D1's 2 MB. */
export const commitWritesCount = 1000;

/**
 * Makes staged bytes the content of artifacts: all of them or none, in one transaction. Where the tenant has a live blob with the same
 * digest that one is referred to, and the staged bytes are deleted. Throws not_found (disk), precondition_failed, quota_exceeded; the staged
 * bytes are deleted then too. When the database doesn't answer they are left to the sweep: the transaction may have been applied.
 */
export const commitArtifacts = async (
  ctx: Context,
  diskId: string,
  writes: readonly ArtifactWrite[],
  options: CommitOptions = {},
): Promise<CommittedArtifact[]> => {
  const rows = await attempt(ctx, diskId, writes, options);
  const used = new Set(rows.map(({ blobId }) => blobId));
  const unused = writes.map(({ blob }) => blob.blobId).filter((blobId) => !used.has(blobId));
  // What an upload has put together stays its own until the upload ends: it may be completed again, or another request did just that.
  if (rows.length > 0 || options.uploadId === undefined) unstage(ctx, unused);
  if (rows.length > 0 || writes.length === 0) return rows;
  await getDisk(ctx, diskId);
  const [first] = writes;
  if (first && options.precondition) await checkPrecondition(ctx, diskId, first, options.precondition);
  throw quotaError(ctx);
};

export const quotaError = (ctx: Context): ServiceError =>
  new ServiceError(
    'quota_exceeded',
    `The tenant's limit is ${ctx.actor.tenant.maxStorageBytes} bytes of storage; delete artifacts or abort uploads first.`,
  );

/**
 * Where artifacts exchange their contents, the first to be overwritten may condemn the blob that the next one wants. The second time all
 * of them are stored anew, without a digest that could lead to such a blob.
 */
const attempt = async (
  ctx: Context,
  diskId: string,
  writes: readonly ArtifactWrite[],
  options: CommitOptions,
): Promise<CommittedArtifact[]> => {
  try {
    return await commit(ctx, diskId, writes, options);
  } catch (error) {
    if (!isCondemned(error)) throw error;
    const anew = writes.map((write) => ({ ...write, blob: { ...write.blob, digest: null } }));
    return commit(ctx, diskId, anew, options);
  }
};

const isCondemned = (error: unknown): boolean => {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause.message.includes('blob_condemned')) return true;
  }
  return false;
};

const commit = async (
  ctx: Context,
  diskId: string,
  writes: readonly ArtifactWrite[],
  { metadata, precondition, uploadId }: CommitOptions,
): Promise<CommittedArtifact[]> => {
  const tenantId = ctx.actor.tenant.id;
  const nowMs = ctx.now();
  const entries = writes.map((write) => ({
    id: newArtifactId(),
    etag: newEtag(),
    path: write.path,
    name: write.name,
    type: write.contentType,
    blobId: write.blob.blobId,
    digest: write.blob.digest,
    size: write.blob.sizeBytes,
  }));
  const given = sql`json_each(${JSON.stringify(entries)}) as given`;
  const field = (name: keyof (typeof entries)[number]) => sql`given.value ->> ${sql.raw(`'${name}'`)}`;
  // Two look-ups: with «or» between them the index gives all blobs of the tenant.
  const live = sql`coalesce(
    (select live.id from ${blobs} as live where live.condemned_at_ms is null and live.tenant_id = ${tenantId} and live.digest = ${field('digest')}),
    (select own.id from ${blobs} as own where own.condemned_at_ms is null and own.tenant_id = ${tenantId} and own.id = ${field('blobId')}))`;
  // What only the overwritten artifacts refer to.
  const freed = sql`(select coalesce(sum(was.size_bytes), 0) from (select old.blob_id as id, count(*) as refs from ${given}
    cross join ${artifacts} as old on old.disk_id = ${diskId} and old.path = ${field('path')} and old.name = ${field('name')}
    group by old.blob_id) as let_go join ${blobs} as was on was.id = let_go.id
    where was.refs = let_go.refs and was.id not in (select ${live} from ${given} where ${live} is not null))`;
  const [first] = writes;
  const allowed = and(
    first && precondition ? preconditionHolds(diskId, first, precondition) : sql`1`,
    uploadId === undefined ? sql`1` : sql`exists (select 1 from ${uploads} where ${isOpen(uploadId)})`,
  );
  const added = sql`${newBytes(given, field('digest'), field('blobId'), field('size'), live)} - ${freed} - ${partsBytes(uploadId)}`;
  const insertBlobs = ctx.directory
    .insert(blobs)
    .select(
      sql`select ${field('blobId')}, ${tenantId}, ${field('digest')}, ${field('size')}, 0, ${nowMs}, null from ${given}
        where ${fitsQuota(ctx, added)}`,
    )
    .onConflictDoNothing();
  const upsertArtifacts = ctx.directory
    .insert(artifacts)
    .select(
      sql`select ${field('id')}, ${diskId}, ${field('path')}, ${field('name')}, ${live}, ${field('size')}, ${field('type')},
        ${JSON.stringify(metadata ?? {})}, ${field('etag')}, ${nowMs}, ${nowMs} from ${given}
        where exists (select 1 from ${disks} where ${disks.id} = ${diskId} and ${disks.tenantId} = ${tenantId})
        and not exists (select 1 from ${given} where ${live} is null) and ${allowed}`,
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
  const dropUnused = ctx.directory.delete(blobs).where(
    and(
      inArray(blobs.id, sql`(select ${field('blobId')} from ${given})`),
      eq(blobs.refs, 0),
      // The plus keeps the index of the condemned out of it, which would give every live blob there is.
      sql`+${blobs.condemnedAtMs} is null`,
    ),
  );
  const written = sql`(select made.id from ${artifacts} as made, ${given} where made.disk_id = ${diskId} and made.path = ${field('path')}
    and made.name = ${field('name')} and made.etag = ${field('etag')})`;
  const endUpload =
    uploadId === undefined
      ? []
      : [
          ctx.directory.update(uploads).set({ artifactId: written }).where(isOpen(uploadId)),
          ctx.directory.delete(uploadParts).where(and(eq(uploadParts.uploadId, uploadId), sql`exists ${written}`)),
        ];
  const [, rows] = await ctx.directory.batch([insertBlobs, upsertArtifacts, dropUnused, ...endUpload]);
  const newIds = new Set(entries.map(({ id }) => id));
  return rows.map((row) => ({ ...row, created: newIds.has(row.id) }));
};

const isOpen = (uploadId: string): SQL | undefined => and(eq(uploads.id, uploadId), isNull(uploads.artifactId));

/** They count until the commit, and the blob that they make up from then on: never both. */
const partsBytes = (uploadId: string | undefined): SQL =>
  uploadId === undefined
    ? sql`0`
    : sql`(select coalesce(sum(part.size_bytes), 0) from ${uploadParts} as part where part.upload_id = ${uploadId})`;

/** What the writes would add to what the tenant stores: equal content counts once. */
const newBytes = (given: SQL, digest: SQL, blobId: SQL, size: SQL, live: SQL): SQL =>
  sql`(select coalesce(sum(size), 0) from (select max(${size}) as size from ${given} where ${live} is null group by coalesce(${digest}, ${blobId})))`;

/** `bytes` more (or fewer) stay within the tenant's limit. Where that was lowered below what there is, it must not become more. */
export const fitsQuota = (ctx: Context, bytes: SQL | number): SQL => {
  const stored = sql`coalesce((select ${tenantStorage.bytes} from ${tenantStorage} where ${tenantStorage.tenantId} = ${ctx.actor.tenant.id}), 0)`;
  return sql`${stored} + ${bytes} <= max(${ctx.actor.tenant.maxStorageBytes}, ${stored})`;
};
