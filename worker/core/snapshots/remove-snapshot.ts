import { and, eq, ne } from 'drizzle-orm';
import { snapshots, type Snapshot } from '../../../db/directory.ts';
import type { Context, Services } from '../ports.ts';
import { snapshotObjectKey } from './snapshot-object.ts';

type Stores = Pick<Services, 'directory' | 'snapshotObjects'>;

/**
 * The row is closed first, so that one who is still making it finds out; then its bytes go, then the row. What fails is done again by a
 * later sweep.
 */
export const removeSnapshot = async ({ directory, snapshotObjects }: Stores, snapshot: Snapshot): Promise<void> => {
  const { id } = snapshot;
  const [closed] = await directory
    .update(snapshots)
    .set({ state: 'deleted', sweepAtMs: 0 })
    .where(and(eq(snapshots.id, id), ne(snapshots.state, 'ready')))
    .returning();
  if (!closed) return;
  const key = snapshotObjectKey(closed);
  if (closed.multipartId !== null) await snapshotObjects.abortMultipart(key, closed.multipartId);
  await snapshotObjects.delete([key]);
  await directory.delete(snapshots).where(and(eq(snapshots.id, id), eq(snapshots.state, 'deleted')));
};

/** Of one that was not made, or was made for a fork that is over: nothing is left, on its node neither. */
export const giveUpSnapshot = async (ctx: Context, snapshot: Snapshot, place: { epoch: number }): Promise<void> => {
  const { sandboxId, tenantId, runnerId, id } = snapshot;
  const ref = { tenantId, sandboxId, requestId: ctx.requestId };
  const dropped = ctx.broker.dropSnapshot(ref, { runnerId, ...place }, id).catch((error: unknown) => {
    // It is sealed, and goes when its room is needed.
    ctx.log('warn', 'a node keeps its copy of a snapshot', error);
  });
  await Promise.all([removeSnapshot(ctx, snapshot), dropped]);
};
