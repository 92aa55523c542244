import { and, eq } from 'drizzle-orm';
import { snapshots, type Snapshot } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** By its id, or by its name and tag. */
export type SnapshotRef = { id: string } | { name: string; tag: string };

export const snapshotNotFound = (): ServiceError =>
  new ServiceError('not_found', 'There is no such snapshot, or it is not yours.');

/** The tenant's own that are whole; those that forks use are nobody's to see. */
export const visibleTo = (ctx: Context) =>
  and(eq(snapshots.tenantId, ctx.actor.tenant.id), eq(snapshots.state, 'ready'), eq(snapshots.purpose, 'kept'));

export const findSnapshot = async (ctx: Context, ref: SnapshotRef): Promise<Snapshot | undefined> => {
  const named = 'id' in ref ? eq(snapshots.id, ref.id) : and(eq(snapshots.name, ref.name), eq(snapshots.tag, ref.tag));
  const [row] = await ctx.directory
    .select()
    .from(snapshots)
    .where(and(visibleTo(ctx), named))
    .limit(1);
  return row;
};

/** Throws not_found for a missing one and another tenant's, all alike. */
export const getSnapshot = async (ctx: Context, ref: SnapshotRef): Promise<Snapshot> => {
  const row = await findSnapshot(ctx, ref);
  if (!row) throw snapshotNotFound();
  return row;
};
