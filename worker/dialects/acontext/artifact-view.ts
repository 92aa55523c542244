import { timestampOf } from '../../api/timestamp.ts';
import type { getArtifact } from '../../core/artifacts/get-artifact.ts';
import { toUuid } from './ids.ts';

export type Artifact = Awaited<ReturnType<typeof getArtifact>>;

/** Where Acontext tells of the file itself, among the tenant's own metadata. */
export const infoKey = '__artifact_info__';

export const viewArtifact = (artifact: Artifact) => ({
  disk_id: toUuid(artifact.diskId),
  path: artifact.path,
  filename: artifact.name,
  meta: {
    ...artifact.metadata,
    [infoKey]: {
      path: artifact.path,
      filename: artifact.name,
      mime: artifact.contentType,
      size: artifact.sizeBytes,
    },
  },
  created_at: timestampOf(artifact.createdAtMs),
  updated_at: timestampOf(artifact.updatedAtMs),
});
