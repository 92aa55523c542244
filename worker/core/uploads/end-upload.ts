import { and, eq, isNull } from 'drizzle-orm';
import { uploads, type Upload } from '../../../db/directory.ts';
import { blobKey } from '../artifacts/blob-key.ts';
import type { Services } from '../ports.ts';

/**
 * Gives an open upload up: its row and parts, then what R2 has of it. False if it was completed or given up already; whoever takes the row
 * away decides, so that a complete at the same time has all or finds nothing. A failure after the row is gone leaves bytes that the bucket's
 * lifecycle rule (parts) or the list of orphans (an object) takes care of.
 */
export const endUpload = async (
  { directory, objects }: Pick<Services, 'directory' | 'objects'>,
  upload: Pick<Upload, 'id' | 'tenantId' | 'blobId' | 'multipartId'>,
): Promise<boolean> => {
  const ended = await directory
    .delete(uploads)
    .where(and(eq(uploads.id, upload.id), isNull(uploads.artifactId)))
    .returning({ id: uploads.id });
  if (ended.length === 0) return false;
  const key = blobKey(upload.tenantId, upload.blobId);
  await objects.abortMultipart(key, upload.multipartId);
  // There is one where a complete got as far as R2 and no further.
  await objects.delete([key]);
  return true;
};
