import { ServiceError } from '../errors.ts';
import type { PresignRequest } from '../object-store.ts';
import type { Context } from '../ports.ts';

/** Throws not_implemented where the deployment has no S3 credentials for its bucket. */
export const presign = async (ctx: Context, request: PresignRequest): Promise<string> => {
  const url = await ctx.objects.presign(request);
  if (url !== undefined) return url;
  throw new ServiceError(
    'not_implemented',
    'This deployment has no S3 credentials for its bucket, so there is no direct way to it; send the bytes through the API.',
  );
};

export const requirePresigning = async (ctx: Context): Promise<void> => {
  await presign(ctx, { method: 'GET', key: 'none', expiresSeconds: 1 });
};
