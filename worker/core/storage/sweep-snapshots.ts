import { asc, lte } from 'drizzle-orm';
import { snapshots } from '../../../db/directory.ts';
import type { Services } from '../ports.ts';
import { removeSnapshot } from '../snapshots/remove-snapshot.ts';

const snapshotsPerRun = 100;

/** Removes those that were deleted a while ago, and those whose making was broken off, with their bytes. */
export const sweepSnapshots = async (
  stores: Pick<Services, 'directory' | 'snapshotObjects'>,
  nowMs: number,
): Promise<number> => {
  const due = await stores.directory
    .select()
    .from(snapshots)
    .where(lte(snapshots.sweepAtMs, nowMs))
    .orderBy(asc(snapshots.sweepAtMs))
    .limit(snapshotsPerRun);
  const failures: unknown[] = [];
  // One that fails comes again with the next run, and holds nobody else up.
  for (const snapshot of due) {
    await removeSnapshot(stores, snapshot).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new Error(`${failures.length} snapshots could not be removed`, { cause: failures[0] });
  return due.length;
};
