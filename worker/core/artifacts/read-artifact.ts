import type { Artifact } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { AdminContext } from '../ports.ts';
import { blobKey } from './blob-key.ts';

/** The bytes of an artifact that was just looked up, whole or a part that lies inside of it. */
export const readArtifact = async (
  ctx: AdminContext,
  tenantId: string,
  artifact: Pick<Artifact, 'blobId'>,
  range?: { offset: number; length: number },
): Promise<ReadableStream<Uint8Array>> => {
  const object = await ctx.objects.get(blobKey(tenantId, artifact.blobId), range);
  if (object) return object.body;
  throw new ServiceError(
    'internal',
    'The content of this artifact is missing from the store. The request id identifies it in our logs.',
    {
      cause: new Error(`no object for the blob ${artifact.blobId}`),
    },
  );
};
