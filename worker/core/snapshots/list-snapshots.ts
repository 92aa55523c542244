import { and, eq } from 'drizzle-orm';
import { snapshots, type Snapshot } from '../../../db/directory.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { visibleTo } from './find-snapshot.ts';

export interface ListSnapshots extends PageOf {
  id: string | undefined;
  /** What they were taken of. Undefined here and elsewhere: any. */
  sandboxId: string | undefined;
  name: string | undefined;
  tag: string | undefined;
}

/** The tenant's own, by time of creation. */
export const listSnapshots = async (
  ctx: Context,
  input: ListSnapshots,
): Promise<{ snapshots: Snapshot[]; nextCursor: string | null }> => {
  const { id, sandboxId, name, tag } = input;
  const { after, orderBy, limit } = keyset(snapshots, input);
  const rows = await ctx.directory
    .select()
    .from(snapshots)
    .where(
      and(
        visibleTo(ctx),
        id === undefined ? undefined : eq(snapshots.id, id),
        sandboxId === undefined ? undefined : eq(snapshots.sandboxId, sandboxId),
        name === undefined ? undefined : eq(snapshots.name, name),
        tag === undefined ? undefined : eq(snapshots.tag, tag),
        after,
      ),
    )
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { snapshots: page, nextCursor };
};
