import { and, eq } from 'drizzle-orm';
import { snapshots } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { getSnapshot, snapshotNotFound, visibleTo, type SnapshotRef } from './find-snapshot.ts';
import { snapshotLimits } from './snapshot-limits.ts';

/** Nothing boots from it any more; its bytes go with a later sweep. Sandboxes that have booted from it go on. Throws not_found. */
export const deleteSnapshot = async (ctx: Context, ref: SnapshotRef): Promise<void> => {
  const { id } = await getSnapshot(ctx, ref);
  const deleted = await ctx.directory
    .update(snapshots)
    .set({ state: 'deleted', sweepAtMs: ctx.now() + snapshotLimits.deletedMs })
    .where(and(eq(snapshots.id, id), visibleTo(ctx)))
    .returning({ id: snapshots.id });
  if (deleted.length === 0) throw snapshotNotFound();
};
