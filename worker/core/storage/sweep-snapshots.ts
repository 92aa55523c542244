import { and, asc, eq, lte } from 'drizzle-orm';
import { snapshots, type Snapshot } from '../../../db/directory.ts';
import type { Services } from '../ports.ts';
import { removeSnapshot } from '../snapshots/remove-snapshot.ts';

const snapshotsPerRun = 100;
/** One that could not be removed makes way for the others. */
const againMs = 10 * 60_000;

type Stores = Pick<Services, 'directory' | 'snapshotObjects'>;

/** Removes those that were deleted a while ago, and those whose making was broken off, with their bytes. */
export const sweepSnapshots = async (stores: Stores, nowMs: number): Promise<number> => {
  const due = await stores.directory
    .select()
    .from(snapshots)
    .where(lte(snapshots.sweepAtMs, nowMs))
    .orderBy(asc(snapshots.sweepAtMs))
    .limit(snapshotsPerRun);
  const failures: unknown[] = [];
  for (const snapshot of due) {
    await removeSnapshot(stores, snapshot).catch(async (error: unknown) => {
      failures.push(error);
      await postpone(stores, snapshot, nowMs + againMs);
    });
  }
  if (failures.length > 0) throw new Error(`${failures.length} snapshots could not be removed`, { cause: failures[0] });
  return due.length;
};

const postpone = async ({ directory }: Stores, { id }: Snapshot, sweepAtMs: number): Promise<void> => {
  await directory
    .update(snapshots)
    .set({ sweepAtMs })
    .where(and(eq(snapshots.id, id), eq(snapshots.state, 'deleted')));
};
