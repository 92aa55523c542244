import { and, asc, desc, eq, gt, lt, or, type SQL } from 'drizzle-orm';
import { skills, users } from '../../../db/directory.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Context } from '../ports.ts';
import { findUser } from '../users/ensure-user.ts';
import { ownedSkill, type OwnedSkill } from './get-skill.ts';

export interface ListSkills {
  /** A user's identifier; undefined: everybody's and nobody's. One that there is not has no skills. */
  user: string | undefined;
  /** By time of creation. */
  order: 'asc' | 'desc';
  cursor: string | undefined;
  limit: number;
}

const sorted = {
  asc: { by: asc, beyond: gt },
  desc: { by: desc, beyond: lt },
} as const;

/** The tenant's own. A cursor goes on from its skill in either order. */
export const listSkills = async (
  ctx: Context,
  input: ListSkills,
): Promise<{ skills: OwnedSkill[]; nextCursor: string | null }> => {
  const owner = input.user === undefined ? undefined : await findUser(ctx, input.user);
  if (input.user !== undefined && !owner) return { skills: [], nextCursor: null };
  const { by } = sorted[input.order];
  const rows = await ctx.directory
    .select(ownedSkill)
    .from(skills)
    .leftJoin(users, eq(users.id, skills.userId))
    .where(
      and(
        eq(skills.tenantId, ctx.actor.tenant.id),
        owner ? eq(skills.userId, owner.id) : undefined,
        input.cursor === undefined ? undefined : after(input.cursor, input.order),
      ),
    )
    .orderBy(by(skills.createdAtMs), by(skills.id))
    .limit(input.limit + 1);
  const page = rows.slice(0, input.limit);
  const last = page.at(-1);
  const more = rows.length > input.limit && last !== undefined;
  return { skills: page, nextCursor: more ? encodeCursor([last.createdAtMs, last.id]) : null };
};

const after = (cursor: string, order: ListSkills['order']): SQL | undefined => {
  const { beyond } = sorted[order];
  const [createdAtMs, id] = decodeCursor(cursor, ['number', 'string']);
  return or(beyond(skills.createdAtMs, createdAtMs), and(eq(skills.createdAtMs, createdAtMs), beyond(skills.id, id)));
};
