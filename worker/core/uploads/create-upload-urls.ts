import { sql } from 'drizzle-orm';
import { blobKey } from '../artifacts/blob-key.ts';
import { fitsQuota, quotaError } from '../artifacts/storage-quota.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { findOpenUpload } from './find-upload.ts';
import { presign } from './presigning.ts';

export interface UploadUrls {
  urls: { part: number; url: string }[];
  expiresAtMs: number;
}

/**
 * URLs to PUT parts of a direct upload to, without a key; complete and abort end them. Throws not_found, conflict (completed, or not direct),
 * quota_exceeded, not_implemented.
 */
export const createUploadUrls = async (
  ctx: Context,
  diskId: string,
  uploadId: string,
  { parts, expiresSeconds }: { parts: readonly number[]; expiresSeconds: number },
): Promise<UploadUrls> => {
  const upload = await findOpenUpload(ctx, diskId, uploadId);
  if (upload.way !== 'direct') {
    throw new ServiceError(
      'conflict',
      "The parts of this upload go through the API: it was not begun with way 'direct'.",
    );
  }
  // What has the part n has n - 1 whole ones; the rest is counted at complete.
  await requireQuota(ctx, (Math.max(...parts) - 1) * upload.partBytes + 1);
  const expiresAtMs = ctx.now() + expiresSeconds * 1000;
  const key = blobKey(upload.tenantId, upload.blobId);
  const { multipartId } = upload;
  const urls = await Promise.all(
    parts.map(async (part) => ({
      part,
      url: await presign(ctx, { method: 'PUT', key, expiresSeconds, part: { multipartId, part } }),
    })),
  );
  return { urls, expiresAtMs };
};

const requireQuota = async (ctx: Context, bytes: number): Promise<void> => {
  const [row] = await ctx.directory.all<{ fits: number }>(sql`select ${fitsQuota(ctx, bytes)} as fits`);
  if (row?.fits !== 1) throw quotaError(ctx);
};
