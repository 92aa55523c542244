import { and, sql } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { planRelocation, type Relocation } from './relocation.ts';

/**
 * Moves an artifact, or a directory with all below it, within a disk: all of it or nothing. What is moved stays the same artifact, with its
 * id, its etag and its public URLs. Answers how many there are; throws as copyArtifacts does.
 */
export const moveArtifacts = async (ctx: Context, diskId: string, input: Relocation): Promise<number> => {
  const { isSource, newPath, newName, isInTheWay, allowed, explain } = planRelocation(ctx, diskId, input);
  const row = sql`${artifacts}`;
  const clear = ctx.directory.delete(artifacts).where(and(isInTheWay, allowed));
  const move = ctx.directory
    .update(artifacts)
    .set({ path: newPath(row), name: newName(row), updatedAtMs: ctx.now() })
    .where(and(isSource(row), allowed))
    .returning({ one: sql`1` });
  const moved = input.overwrite ? (await ctx.directory.batch([clear, move]))[1] : await move;
  if (moved.length > 0) return moved.length;
  throw await explain();
};
