import { and, sql } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { planRelocation, type Relocation } from './relocation.ts';

/**
 * Copies an artifact, or a directory with all below it, within a disk: all of it or nothing. The copies share their blobs with the
 * originals, so they take no storage, but their rows count. Answers how many there are. Throws invalid_argument (also for more than 10,000
 * artifacts, and where one lies in the other), not_found, conflict.
 */
export const copyArtifacts = async (ctx: Context, diskId: string, input: Relocation): Promise<number> => {
  const { isSource, newPath, newName, isInTheWay, allowed, explain } = planRelocation(ctx, diskId, input);
  const nowMs = ctx.now();
  const row = sql`source`;
  const insert = ctx.directory
    .insert(artifacts)
    .select(
      sql`select lower(hex(randomblob(12))), source.disk_id, ${newPath(row)}, ${newName(row)}, source.blob_id, source.size_bytes,
        source.content_type, source.metadata, lower(hex(randomblob(16))), ${nowMs}, ${nowMs}
        from ${artifacts} as source where ${isSource(row)} and ${allowed}`,
    )
    .returning({ one: sql`1` });
  const clear = ctx.directory.delete(artifacts).where(and(isInTheWay, allowed));
  const copies = input.overwrite ? (await ctx.directory.batch([clear, insert]))[1] : await insert;
  if (copies.length > 0) return copies.length;
  throw await explain();
};
