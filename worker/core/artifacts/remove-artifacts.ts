import { and, inArray, sql } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { isAt, isOwnDisk } from './change-artifact.ts';
import { getArtifact, type ArtifactPlace } from './get-artifact.ts';
import { inDirectory } from './in-directory.ts';
import { checkPrecondition, preconditionHolds, type Precondition } from './precondition.ts';

/** What one statement deletes; the database gives a statement 30 s. */
const sliceCount = 20_000;
/** More slices than a directory can have in practice. */
const slicesCount = 5_000;

/** Throws not_found, precondition_failed. */
export const removeArtifact = async (
  ctx: Context,
  diskId: string,
  place: ArtifactPlace,
  precondition?: Precondition,
): Promise<void> => {
  const [removed] = await ctx.directory
    .delete(artifacts)
    .where(and(isAt(ctx, diskId, place), precondition && preconditionHolds(diskId, place, precondition)))
    .returning({ id: artifacts.id });
  if (removed) return;
  await getArtifact(ctx, diskId, place);
  if (precondition) await checkPrecondition(ctx, diskId, place, precondition);
  throw new ServiceError('conflict', 'The artifact was written in the same moment; try again.');
};

/**
 * All that lies in '/dir/' and below it; answers how many artifacts that were. Up to 20,000 go at once, more in slices of so many. Throws
 * not_found: for the disk, or when nothing lay there.
 */
export const removeDirectory = async (ctx: Context, diskId: string, directory: string): Promise<number> => {
  const doomed = ctx.directory
    .select({ rowid: sql`rowid` })
    .from(artifacts)
    .where(and(inDirectory(diskId, directory), isOwnDisk(ctx, diskId)))
    .limit(sliceCount);
  let removedCount = 0;
  for (let count = 0; count < slicesCount; count += 1) {
    const slice = await ctx.directory
      .delete(artifacts)
      .where(inArray(sql`rowid`, doomed))
      .returning({ one: sql`1` });
    removedCount += slice.length;
    if (slice.length === sliceCount) continue;
    if (removedCount > 0) return removedCount;
    await getDisk(ctx, diskId);
    throw directoryNotFound(directory);
  }
  return removedCount;
};

export const directoryNotFound = (directory: string): ServiceError =>
  new ServiceError('not_found', `There is nothing in ${directory.slice(0, 1024)} on this disk.`);
