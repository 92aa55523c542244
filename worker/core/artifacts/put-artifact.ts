import { getDisk } from '../disks/get-disk.ts';
import type { ByteInput } from '../formats/byte-source.ts';
import type { Context } from '../ports.ts';
import { commitArtifacts, type CommitOptions, type CommittedArtifact } from './commit-artifacts.ts';
import { quotaError } from './storage-quota.ts';
import { sniffContentType } from './content-type.ts';
import type { ArtifactPlace } from './get-artifact.ts';
import { checkPrecondition } from './precondition.ts';
import { stageBytes } from './stage-bytes.ts';

export interface PutArtifact extends ArtifactPlace, CommitOptions {
  content: ByteInput;
  /** null: not known. */
  contentBytes: number | null;
  /** Undefined: told from the content and the name. */
  contentType?: string | undefined;
  maxBytes?: number;
}

/**
 * Writes an artifact, new or over an old one: a reader sees the old or the new, never a part. Throws not_found, precondition_failed,
 * quota_exceeded, payload_too_large, invalid_argument (a body that was cut); nothing has changed then.
 */
export const putArtifact = async (ctx: Context, diskId: string, input: PutArtifact): Promise<CommittedArtifact> => {
  const { path, name, metadata, precondition } = input;
  // Looked at before the bytes are taken, so that a request in vain is not read to its end; decided again when they are in.
  await getDisk(ctx, diskId);
  if (precondition) await checkPrecondition(ctx, diskId, input, precondition);
  if ((input.contentBytes ?? 0) > ctx.actor.tenant.maxStorageBytes) throw quotaError(ctx);
  const blob = await stageBytes(ctx, input.content, input.contentBytes, input.maxBytes);
  const contentType = input.contentType ?? sniffContentType(blob.head, name);
  const [artifact] = await commitArtifacts(ctx, diskId, [{ path, name, blob, contentType }], {
    metadata,
    precondition,
  });
  if (!artifact) throw new Error('a commit of one artifact answered none');
  return artifact;
};
