import { asc, gt } from 'drizzle-orm';
import { orphans } from '../../../db/directory.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { AdminContext } from '../ports.ts';

export type Orphan = typeof orphans.$inferSelect;

/** Objects of the bucket that no row knows, by key. */
export const listOrphans = async (
  ctx: AdminContext,
  { cursor, limit }: { cursor: string | undefined; limit: number },
): Promise<{ orphans: Orphan[]; nextCursor: string | null }> => {
  const after = cursor === undefined ? undefined : gt(orphans.key, decodeCursor(cursor, ['string'])[0]);
  const rows = await ctx.directory
    .select()
    .from(orphans)
    .where(after)
    .orderBy(asc(orphans.key))
    .limit(limit + 1);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { orphans: page, nextCursor: rows.length > limit && last ? encodeCursor([last.key]) : null };
};
