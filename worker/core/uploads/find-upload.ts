import { and, eq, gt } from 'drizzle-orm';
import { uploads, type Upload } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** The one answer to a missing id, another tenant's, an expired and an aborted one. */
export const uploadNotFound = (uploadId: string): ServiceError =>
  new ServiceError('not_found', `There is no upload with the id ${uploadId.slice(0, 64)} on this disk.`);

/** Open or completed. Throws not_found: for the disk, or for the upload. */
export const findUpload = async (ctx: Context, diskId: string, uploadId: string): Promise<Upload> => {
  await getDisk(ctx, diskId);
  const own = and(eq(uploads.id, uploadId), eq(uploads.diskId, diskId), eq(uploads.tenantId, ctx.actor.tenant.id));
  const [upload] = await ctx.directory
    .select()
    .from(uploads)
    .where(and(own, gt(uploads.expiresAtMs, ctx.now())))
    .limit(1);
  if (!upload) throw uploadNotFound(uploadId);
  return upload;
};

/** Throws not_found, conflict (it was completed). */
export const findOpenUpload = async (ctx: Context, diskId: string, uploadId: string): Promise<Upload> => {
  const upload = await findUpload(ctx, diskId, uploadId);
  if (upload.artifactId !== null) throw new ServiceError('conflict', 'This upload was completed already.');
  return upload;
};
