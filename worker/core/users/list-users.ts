import { and, asc, desc, eq, gt, lt, or, type SQL } from 'drizzle-orm';
import { users, type User } from '../../../db/directory.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Context } from '../ports.ts';

export interface ListUsers {
  /** By time of their first use. */
  order: 'asc' | 'desc';
  cursor: string | undefined;
  limit: number;
}

const sorted = {
  asc: { by: asc, beyond: gt },
  desc: { by: desc, beyond: lt },
} as const;

/** The tenant's own. A cursor goes on from its user in either order. */
export const listUsers = async (
  ctx: Context,
  input: ListUsers,
): Promise<{ users: User[]; nextCursor: string | null }> => {
  const { by } = sorted[input.order];
  const rows = await ctx.directory
    .select()
    .from(users)
    .where(
      and(
        eq(users.tenantId, ctx.actor.tenant.id),
        input.cursor === undefined ? undefined : after(input.cursor, input.order),
      ),
    )
    .orderBy(by(users.createdAtMs), by(users.id))
    .limit(input.limit + 1);
  const page = rows.slice(0, input.limit);
  const last = page.at(-1);
  const more = rows.length > input.limit && last !== undefined;
  return { users: page, nextCursor: more ? encodeCursor([last.createdAtMs, last.id]) : null };
};

const after = (cursor: string, order: ListUsers['order']): SQL | undefined => {
  const { beyond } = sorted[order];
  const [createdAtMs, id] = decodeCursor(cursor, ['number', 'string']);
  return or(beyond(users.createdAtMs, createdAtMs), and(eq(users.createdAtMs, createdAtMs), beyond(users.id, id)));
};
