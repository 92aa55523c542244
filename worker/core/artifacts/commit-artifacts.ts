import type { Artifact } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { databaseSays } from '../database-says.ts';
import type { Context } from '../ports.ts';
import { commitStatements } from './commit-statements.ts';
import { checkPrecondition, type Precondition } from './precondition.ts';
import { unstage, type StagedBlob } from './stage-bytes.ts';
import { explainQuota, recordsExceeded } from './storage-quota.ts';

export interface ArtifactWrite {
  /** '/dir/' */
  path: string;
  name: string;
  blob: StagedBlob;
  contentType: string;
}

export interface CommitOptions {
  /** The artifacts' new metadata. Undefined: what is overwritten keeps its own. */
  metadata?: Record<string, unknown> | undefined;
  /** Of a single write. */
  precondition?: Precondition | undefined;
  /** The open upload that the blob of a single write comes from. It is completed with the commit, and its parts no longer count. */
  uploadId?: string | undefined;
}

export interface CommittedArtifact extends Artifact {
  /** Nothing was there before. */
  created: boolean;
}

/** What one statement takes as a JSON parameter stays under D1's 2 MB. */
export const commitWritesCount = 1000;

/**
 * Makes staged bytes the content of artifacts: all of them or none, in one transaction. Where the tenant has a live blob with the same
 * digest that one is referred to, and the staged bytes are deleted. Throws not_found (disk), precondition_failed, quota_exceeded; the staged
 * bytes are deleted then too. When the database doesn't answer they are left to the sweep: the transaction may have been applied.
 */
export const commitArtifacts = async (
  ctx: Context,
  diskId: string,
  writes: readonly ArtifactWrite[],
  options: CommitOptions = {},
): Promise<CommittedArtifact[]> => {
  const rows = await attempt(ctx, diskId, writes, options).catch((error: unknown) => {
    const refusal = recordsExceeded(error);
    if (refusal && options.uploadId === undefined) unstage(ctx, idsOf(writes));
    throw refusal ?? error;
  });
  const used = new Set(rows.map(({ blobId }) => blobId));
  const unused = idsOf(writes).filter((blobId) => !used.has(blobId));
  // What an upload has put together stays its own until the upload ends: it may be completed again, or another request did just that.
  if (rows.length > 0 || options.uploadId === undefined) unstage(ctx, unused);
  if (rows.length > 0 || writes.length === 0) return rows;
  await getDisk(ctx, diskId);
  const [first] = writes;
  if (first && options.precondition) await checkPrecondition(ctx, diskId, first, options.precondition);
  throw await explainQuota(
    ctx,
    writes.reduce((sum, { blob }) => sum + blob.sizeBytes, 0),
  );
};

/**
 * Where artifacts exchange their contents, the first to be overwritten may condemn the blob that the next one wants. The second time all
 * of them are stored anew, without a digest that could lead to such a blob.
 */
const attempt = async (
  ctx: Context,
  diskId: string,
  writes: readonly ArtifactWrite[],
  options: CommitOptions,
): Promise<CommittedArtifact[]> => {
  try {
    return await commit(ctx, diskId, writes, options);
  } catch (error) {
    if (!databaseSays(error, 'blob_condemned')) throw error;
    const anew = writes.map((write) => ({ ...write, blob: { ...write.blob, digest: null } }));
    return commit(ctx, diskId, anew, options);
  }
};

const idsOf = (writes: readonly ArtifactWrite[]): string[] => writes.map(({ blob }) => blob.blobId);

const commit = async (
  ctx: Context,
  diskId: string,
  writes: readonly ArtifactWrite[],
  options: CommitOptions,
): Promise<CommittedArtifact[]> => {
  const { statements, isNew } = commitStatements(ctx, diskId, writes, options);
  const [, rows] = await ctx.directory.batch(statements);
  return rows.map((row) => ({ ...row, created: isNew(row.id) }));
};
