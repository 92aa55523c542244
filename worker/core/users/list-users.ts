import { and, eq } from 'drizzle-orm';
import { users, type User } from '../../../db/directory.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';

/** The tenant's own by time of their first use. */
export const listUsers = async (ctx: Context, input: PageOf): Promise<{ users: User[]; nextCursor: string | null }> => {
  const { after, orderBy, limit } = keyset(users, input);
  const rows = await ctx.directory
    .select()
    .from(users)
    .where(and(eq(users.tenantId, ctx.actor.tenant.id), after))
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { users: page, nextCursor };
};
