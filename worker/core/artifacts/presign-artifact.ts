import type { Context } from '../ports.ts';
import { presign } from '../uploads/presigning.ts';
import { blobKey } from './blob-key.ts';
import { attachmentNamed } from './content-disposition.ts';
import { getArtifact, type ArtifactPlace } from './get-artifact.ts';

/** The longest that S3 signs for. */
const maxSeconds = 7 * 86_400;

/**
 * A URL straight to the object store, for 7 days at most: its bytes don't pass through the worker. It gives what the artifact holds now; after that
 * was overwritten or removed it lasts until the sweep deletes the bytes, a day later. Throws not_found, not_implemented.
 */
export const presignArtifact = async (
  ctx: Context,
  diskId: string,
  place: ArtifactPlace,
  expiresSeconds: number,
): Promise<{ url: string; expiresAtMs: number }> => {
  const artifact = await getArtifact(ctx, diskId, place);
  const lifeSeconds = Math.min(expiresSeconds, maxSeconds);
  const expiresAtMs = ctx.now() + lifeSeconds * 1000;
  const url = await presign(ctx, {
    method: 'GET',
    key: blobKey(ctx.actor.tenant.id, artifact.blobId),
    expiresSeconds: lifeSeconds,
    contentType: artifact.contentType,
    contentDisposition: attachmentNamed(artifact.name),
  });
  return { url, expiresAtMs };
};
