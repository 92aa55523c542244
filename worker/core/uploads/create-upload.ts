import { and, eq, gt, isNull, sql } from 'drizzle-orm';
import { disks, uploads, type Upload } from '../../../db/directory.ts';
import { blobKey } from '../artifacts/blob-key.ts';
import type { ArtifactPlace } from '../artifacts/get-artifact.ts';
import { recordsExceeded } from '../artifacts/storage-quota.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import { newBlobId, newUploadId } from '../ids.ts';
import type { Context } from '../ports.ts';
import { requirePresigning } from './presigning.ts';
import { uploadLimits } from './upload-limits.ts';

export interface CreateUpload extends ArtifactPlace {
  /** The size of each part but the last. */
  partBytes: number;
  way: Upload['way'];
  /** Undefined: told from the content and the name. */
  contentType: string | undefined;
  /** Undefined: an artifact that is overwritten keeps its own. */
  metadata: Record<string, unknown> | undefined;
}

/** Begins an upload in parts. Throws not_found (disk), quota_exceeded (too many are open), not_implemented (direct, without S3). */
export const createUpload = async (ctx: Context, diskId: string, input: CreateUpload): Promise<Upload> => {
  await getDisk(ctx, diskId);
  if (input.way === 'direct') await requirePresigning(ctx);
  if ((await countOpen(ctx)) >= uploadLimits.open) throw tooMany();
  const tenantId = ctx.actor.tenant.id;
  const blobId = newBlobId();
  const key = blobKey(tenantId, blobId);
  const multipartId = await ctx.objects.createMultipart(key);
  const nowMs = ctx.now();
  const upload: Upload = {
    id: newUploadId(),
    tenantId,
    diskId,
    path: input.path,
    name: input.name,
    blobId,
    multipartId,
    partBytes: input.partBytes,
    contentType: input.contentType ?? null,
    metadata: input.metadata ?? null,
    way: input.way,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + uploadLimits.lifetimeMs,
    artifactId: null,
  };
  const inserted = await insertUpload(ctx, upload).catch((error: unknown) => {
    const refusal = recordsExceeded(error);
    if (refusal) ctx.after(ctx.objects.abortMultipart(key, multipartId));
    throw refusal ?? error;
  });
  if (inserted) return upload;
  ctx.after(ctx.objects.abortMultipart(key, multipartId));
  await getDisk(ctx, diskId);
  throw tooMany();
};

const openOf = (ctx: Context) =>
  and(
    eq(uploads.tenantId, ctx.actor.tenant.id),
    isNull(uploads.artifactId),
    // One that expired is not the tenant's fault while the sweep has not come by.
    gt(uploads.expiresAtMs, ctx.now()),
  );

const countOpen = (ctx: Context): Promise<number> => ctx.directory.$count(uploads, openOf(ctx));

/** False: the disk is gone, or others were begun meanwhile. */
const insertUpload = async (ctx: Context, upload: Upload): Promise<boolean> => {
  const metadata = upload.metadata === null ? null : JSON.stringify(upload.metadata);
  const rows = await ctx.directory
    .insert(uploads)
    .select(
      sql`select ${upload.id}, ${upload.tenantId}, ${upload.diskId}, ${upload.path}, ${upload.name}, ${upload.blobId}, ${upload.multipartId},
        ${upload.partBytes}, ${upload.contentType}, ${metadata}, ${upload.way}, ${upload.createdAtMs}, ${upload.expiresAtMs}, null
        where exists (select 1 from ${disks} where ${and(eq(disks.id, upload.diskId), eq(disks.tenantId, upload.tenantId))})
        and (select count(*) from ${uploads} where ${openOf(ctx)}) < ${uploadLimits.open}`,
    )
    .returning({ id: uploads.id });
  return rows.length > 0;
};

const tooMany = (): ServiceError =>
  new ServiceError(
    'quota_exceeded',
    `A tenant has at most ${uploadLimits.open} uploads open at once; complete or abort some first.`,
  );
