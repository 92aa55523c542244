import { sql, type SQL } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';

/** What one statement deletes; the database gives a statement 30 s. */
const sliceCount = 20_000;
/** More slices than a disk can have in practice: 100 million artifacts. */
const slicesCount = 5_000;

/**
 * Before disks are deleted: takes artifacts off them until a cascade has few left. `diskIds` is a subquery of one column, already known to
 * be the tenant's. Disks of ordinary size lose nothing here and go in one statement, all at once.
 */
export const emptyDisks = async (ctx: Context, diskIds: SQL): Promise<void> => {
  const slice = sql`(select rowid from ${artifacts} where disk_id in (${diskIds}) limit ${sliceCount})`;
  for (let count = 0; count < slicesCount; count += 1) {
    const [more] = await ctx.directory
      .select({ one: sql`1` })
      .from(artifacts)
      .where(sql`disk_id in (${diskIds})`)
      .limit(1)
      .offset(sliceCount);
    if (!more) return;
    await ctx.directory.delete(artifacts).where(sql`rowid in ${slice}`);
  }
};
