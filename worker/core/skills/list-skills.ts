import { and, eq } from 'drizzle-orm';
import { skills, users } from '../../../db/directory.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { findUser } from '../users/ensure-user.ts';
import { ownedSkill, type OwnedSkill } from './get-skill.ts';

export interface ListSkills extends PageOf {
  /** A user's identifier; undefined: everybody's and nobody's. One that there is not has no skills. */
  user: string | undefined;
}

/** The tenant's own by time of creation. */
export const listSkills = async (
  ctx: Context,
  input: ListSkills,
): Promise<{ skills: OwnedSkill[]; nextCursor: string | null }> => {
  const owner = input.user === undefined ? undefined : await findUser(ctx, input.user);
  if (input.user !== undefined && !owner) return { skills: [], nextCursor: null };
  const { after, orderBy, limit } = keyset(skills, input);
  const rows = await ctx.directory
    .select(ownedSkill)
    .from(skills)
    .leftJoin(users, eq(users.id, skills.userId))
    .where(and(eq(skills.tenantId, ctx.actor.tenant.id), owner && eq(skills.userId, owner.id), after))
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { skills: page, nextCursor };
};
