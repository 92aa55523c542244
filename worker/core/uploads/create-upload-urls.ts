import { and, eq, isNull, sql } from 'drizzle-orm';
import { uploadParts, uploads, type Upload } from '../../../db/directory.ts';
import { blobKey } from '../artifacts/blob-key.ts';
import { explainQuota, fitsQuota } from '../artifacts/storage-quota.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { findOpenUpload } from './find-upload.ts';
import { presign } from './presigning.ts';

/** What a client is going to send, and no other length of it. */
export interface ClaimedPart {
  part: number;
  sizeBytes: number;
}

export interface UploadUrls {
  urls: (ClaimedPart & { url: string })[];
  expiresAtMs: number;
}

/**
 * URLs to PUT parts of a direct upload to, without a key; complete and abort end them. The parts are taken from the tenant's storage here, all
 * or none: nobody tells us when they arrive. Throws not_found, conflict (completed, or not direct), invalid_argument (a part twice),
 * payload_too_large, quota_exceeded, not_implemented.
 */
export const createUploadUrls = async (
  ctx: Context,
  diskId: string,
  uploadId: string,
  { parts, expiresSeconds }: { parts: readonly ClaimedPart[]; expiresSeconds: number },
): Promise<UploadUrls> => {
  const upload = await findOpenUpload(ctx, diskId, uploadId);
  if (upload.way !== 'direct') {
    throw new ServiceError(
      'conflict',
      "The parts of this upload go through the API: it was not begun with way 'direct'.",
    );
  }
  requireSound(upload, parts);
  const expiresAtMs = ctx.now() + expiresSeconds * 1000;
  const key = blobKey(upload.tenantId, upload.blobId);
  const { multipartId } = upload;
  const urls = await Promise.all(
    parts.map(async ({ part, sizeBytes }) => ({
      part,
      sizeBytes,
      url: await presign(ctx, { method: 'PUT', key, expiresSeconds, part: { multipartId, part, sizeBytes } }),
    })),
  );
  await claim(ctx, upload, parts);
  return { urls, expiresAtMs };
};

const requireSound = (upload: Upload, parts: readonly ClaimedPart[]): void => {
  const seen = new Set<number>();
  for (const { part, sizeBytes } of parts) {
    if (seen.has(part)) throw new ServiceError('invalid_argument', `Part ${part} is given twice.`);
    seen.add(part);
    if (sizeBytes > upload.partBytes) {
      throw new ServiceError('payload_too_large', `A part of this upload has at most ${upload.partBytes} bytes.`);
    }
  }
};

/** A claim never becomes smaller: what an earlier URL brought, or may bring yet, is in the store whatever is asked for afterwards. */
const claim = async (ctx: Context, upload: Upload, parts: readonly ClaimedPart[]): Promise<void> => {
  const given = sql`json_each(${JSON.stringify(parts)}) as given`;
  const part = sql`given.value ->> 'part'`;
  const sizeBytes = sql`given.value ->> 'sizeBytes'`;
  const added = sql`(select coalesce(sum(max(0, ${sizeBytes} - coalesce(before.size_bytes, 0))), 0) from ${given}
    left join ${uploadParts} as before on before.upload_id = ${upload.id} and before.part = ${part})`;
  const open = and(eq(uploads.id, upload.id), isNull(uploads.artifactId));
  // No etag: of a part that the store has there is none here, so it isn't listed as one that arrived.
  const rows = await ctx.directory
    .insert(uploadParts)
    .select(
      sql`select ${upload.id}, ${part}, ${upload.tenantId}, '', '', ${sizeBytes} from ${given}
        where exists (select 1 from ${uploads} where ${open}) and ${fitsQuota(ctx, added)}`,
    )
    .onConflictDoUpdate({
      target: [uploadParts.uploadId, uploadParts.part],
      set: { sizeBytes: sql`max(${uploadParts.sizeBytes}, excluded.size_bytes)` },
    })
    .returning({ part: uploadParts.part });
  if (rows.length > 0) return;
  await findOpenUpload(ctx, upload.diskId, upload.id);
  throw await explainQuota(
    ctx,
    parts.reduce((sum, part) => sum + part.sizeBytes, 0),
  );
};
