import type { getArtifact } from '../core/artifacts/get-artifact.ts';
import { timestampOf } from './timestamp.ts';

export type Artifact = Awaited<ReturnType<typeof getArtifact>>;

/** As the header of an answer has it. */
export const etagOf = ({ etag }: Pick<Artifact, 'etag'>): string => `"${etag}"`;

export const viewArtifact = (artifact: Artifact) => ({
  name: artifact.name,
  path: artifact.path + artifact.name,
  sizeBytes: artifact.sizeBytes,
  contentType: artifact.contentType,
  metadata: artifact.metadata,
  etag: etagOf(artifact),
  createdAt: timestampOf(artifact.createdAtMs),
  updatedAt: timestampOf(artifact.updatedAtMs),
});
