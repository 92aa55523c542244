import { and, eq, isNull, sql } from 'drizzle-orm';
import { uploadParts, uploads, type Upload } from '../../../db/directory.ts';
import { blobKey } from '../artifacts/blob-key.ts';
import { explainQuota, fitsQuota } from '../artifacts/storage-quota.ts';
import { ServiceError } from '../errors.ts';
import { chunksOf, type ByteInput } from '../formats/byte-source.ts';
import { newOperationId } from '../ids.ts';
import type { Context } from '../ports.ts';
import { findOpenUpload, uploadNotFound } from './find-upload.ts';
import { uploadLimits } from './upload-limits.ts';

export interface WritePart {
  part: number;
  content: ByteInput;
  /** null: not known. */
  contentBytes: number | null;
}

export interface WrittenPart {
  part: number;
  sizeBytes: number;
  /** SHA-256 of its bytes, hex. */
  digest: string;
}

/**
 * Writes a part, or writes it anew. Its size is taken from the tenant's storage before its bytes are. A part that was cut is missing until it
 * is written again. Throws not_found, conflict (completed; or the part was written twice at once, and has to be written again), quota_exceeded,
 * payload_too_large, invalid_argument (a body that was cut).
 */
export const writePart = async (
  ctx: Context,
  diskId: string,
  uploadId: string,
  input: WritePart,
): Promise<WrittenPart> => {
  const upload = await findOpenUpload(ctx, diskId, uploadId);
  if (upload.way === 'direct') {
    throw new ServiceError('conflict', 'The parts of this upload go to the URLs that POST …/urls gives.');
  }
  const { part, content, contentBytes } = input;
  if (contentBytes !== null) return storePart(ctx, upload, part, content, contentBytes);
  return ctx.bodyMemory.hold(ctx, uploadLimits.untoldPartBytes, async (touch) => {
    const bytes = await collect(content, touch);
    return storePart(ctx, upload, part, bytes, bytes.byteLength);
  });
};

const storePart = async (
  ctx: Context,
  upload: Upload,
  part: number,
  content: ByteInput,
  sizeBytes: number,
): Promise<WrittenPart> => {
  if (sizeBytes === 0) throw new ServiceError('invalid_argument', 'A part has at least one byte.');
  if (sizeBytes > upload.partBytes) {
    throw new ServiceError('payload_too_large', `A part of this upload has at most ${upload.partBytes} bytes.`);
  }
  const writeId = newOperationId();
  await claim(ctx, upload, part, sizeBytes, writeId);
  const key = blobKey(upload.tenantId, upload.blobId);
  try {
    const { etag, digest } = await ctx.objects.putPart(key, upload.multipartId, part, content, sizeBytes);
    if (!(await settle(ctx, upload, part, writeId, { etag, digest }))) throw await overtaken(ctx, upload, part);
    return { part, sizeBytes, digest };
  } catch (error) {
    ctx.after(forget(ctx, upload, part, writeId));
    throw error;
  }
};

/** From here on the part counts with its new size, and is missing: nobody knows which bytes R2 has. */
const claim = async (ctx: Context, upload: Upload, part: number, sizeBytes: number, writeId: string): Promise<void> => {
  const before = sql`coalesce((select ${uploadParts.sizeBytes} from ${uploadParts} where ${partOf(upload, part)}), 0)`;
  const open = and(eq(uploads.id, upload.id), isNull(uploads.artifactId));
  const rows = await ctx.directory
    .insert(uploadParts)
    .select(
      sql`select ${upload.id}, ${part}, ${upload.tenantId}, '', ${writeId}, ${sizeBytes}
        where exists (select 1 from ${uploads} where ${open}) and ${fitsQuota(ctx, sql`${sizeBytes} - ${before}`)}`,
    )
    .onConflictDoUpdate({
      target: [uploadParts.uploadId, uploadParts.part],
      set: { etag: '', digest: sql`excluded.digest`, sizeBytes: sql`excluded.size_bytes` },
    })
    .returning({ part: uploadParts.part });
  if (rows.length > 0) return;
  await findOpenUpload(ctx, upload.diskId, upload.id);
  throw await explainQuota(ctx, sizeBytes);
};

/** False when another write of the part began meanwhile, or the upload is over. */
const settle = async (
  ctx: Context,
  upload: Upload,
  part: number,
  writeId: string,
  stored: { etag: string; digest: string },
): Promise<boolean> => {
  const rows = await ctx.directory
    .update(uploadParts)
    .set(stored)
    .where(and(partOf(upload, part), eq(uploadParts.digest, writeId)))
    .returning({ part: uploadParts.part });
  return rows.length > 0;
};

/** Which of two writes R2 took last can't be told, so neither counts. */
const overtaken = async (ctx: Context, upload: Upload, part: number): Promise<ServiceError> => {
  const rows = await ctx.directory
    .delete(uploadParts)
    .where(partOf(upload, part))
    .returning({ part: uploadParts.part });
  if (rows.length === 0) {
    const open = await ctx.directory.$count(uploads, and(eq(uploads.id, upload.id), isNull(uploads.artifactId)));
    if (open === 0) return uploadNotFound(upload.id);
  }
  return new ServiceError('conflict', `Part ${part} was written twice at once: write it again.`);
};

const forget = async (ctx: Context, upload: Upload, part: number, writeId: string): Promise<void> => {
  await ctx.directory.delete(uploadParts).where(and(partOf(upload, part), eq(uploadParts.digest, writeId)));
};

const partOf = (upload: Upload, part: number) => and(eq(uploadParts.uploadId, upload.id), eq(uploadParts.part, part));

const collect = async (content: ByteInput, touch: () => void): Promise<Uint8Array> => {
  const buffer = new Uint8Array(uploadLimits.untoldPartBytes);
  let filled = 0;
  for await (const chunk of chunksOf(content)) {
    touch();
    if (filled + chunk.byteLength > buffer.byteLength) {
      throw new ServiceError(
        'payload_too_large',
        `A part without a Content-Length has at most ${buffer.byteLength} bytes: send the header, or smaller parts.`,
      );
    }
    buffer.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return buffer.subarray(0, filled);
};
