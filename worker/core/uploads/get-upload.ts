import { and, asc, eq, ne } from 'drizzle-orm';
import { uploadParts, type Upload } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { findUpload } from './find-upload.ts';
import type { WrittenPart } from './write-part.ts';

export interface UploadState {
  upload: Upload;
  /** Those that are there, in order. Of a direct upload none are known. */
  parts: WrittenPart[];
}

/** What has arrived, to go on from there. Throws not_found. */
export const getUpload = async (ctx: Context, diskId: string, uploadId: string): Promise<UploadState> => {
  const upload = await findUpload(ctx, diskId, uploadId);
  return { upload, parts: await listParts(ctx, uploadId) };
};

/** At most 10,000. */
export const listParts = (ctx: Context, uploadId: string): Promise<(WrittenPart & { etag: string })[]> =>
  ctx.directory
    .select({
      part: uploadParts.part,
      sizeBytes: uploadParts.sizeBytes,
      digest: uploadParts.digest,
      etag: uploadParts.etag,
    })
    .from(uploadParts)
    .where(and(eq(uploadParts.uploadId, uploadId), ne(uploadParts.etag, '')))
    .orderBy(asc(uploadParts.part));

/** The parts of a direct upload that were given URLs. At most 10,000. */
export const listClaims = async (ctx: Context, uploadId: string): Promise<number[]> => {
  const rows = await ctx.directory
    .select({ part: uploadParts.part })
    .from(uploadParts)
    .where(eq(uploadParts.uploadId, uploadId));
  return rows.map(({ part }) => part);
};
