import { and, eq } from 'drizzle-orm';
import { disks, users } from '../../../db/directory.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { findUser } from '../users/ensure-user.ts';
import { ownedDisk, type OwnedDisk } from './get-disk.ts';

export interface ListDisks extends PageOf {
  /** A user's identifier; undefined: everybody's and nobody's. One that there is not has no disks. */
  user: string | undefined;
}

/** The tenant's own by time of creation, without those that skills lie on. */
export const listDisks = async (
  ctx: Context,
  input: ListDisks,
): Promise<{ disks: OwnedDisk[]; nextCursor: string | null }> => {
  const owner = input.user === undefined ? undefined : await findUser(ctx, input.user);
  if (input.user !== undefined && !owner) return { disks: [], nextCursor: null };
  const { after, orderBy, limit } = keyset(disks, input);
  const own = and(eq(disks.tenantId, ctx.actor.tenant.id), eq(disks.purpose, 'disk'));
  const rows = await ctx.directory
    .select(ownedDisk)
    .from(disks)
    .leftJoin(users, eq(users.id, disks.userId))
    .where(and(own, owner && eq(disks.userId, owner.id), after))
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { disks: page, nextCursor };
};
