import { and, asc, desc, eq, gt, lt, or, type SQL } from 'drizzle-orm';
import { disks, users } from '../../../db/directory.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Context } from '../ports.ts';
import { findUser } from '../users/ensure-user.ts';
import { ownedDisk, type OwnedDisk } from './get-disk.ts';

export interface ListDisks {
  /** A user's identifier; undefined: everybody's and nobody's. One that there is not has no disks. */
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

/** The tenant's own, without those that skills lie on. A cursor goes on from its disk in either order. */
export const listDisks = async (
  ctx: Context,
  input: ListDisks,
): Promise<{ disks: OwnedDisk[]; nextCursor: string | null }> => {
  const owner = input.user === undefined ? undefined : await findUser(ctx, input.user);
  if (input.user !== undefined && !owner) return { disks: [], nextCursor: null };
  const { by } = sorted[input.order];
  const rows = await ctx.directory
    .select(ownedDisk)
    .from(disks)
    .leftJoin(users, eq(users.id, disks.userId))
    .where(
      and(
        eq(disks.tenantId, ctx.actor.tenant.id),
        eq(disks.purpose, 'disk'),
        owner ? eq(disks.userId, owner.id) : undefined,
        input.cursor === undefined ? undefined : after(input.cursor, input.order),
      ),
    )
    .orderBy(by(disks.createdAtMs), by(disks.id))
    .limit(input.limit + 1);
  const page = rows.slice(0, input.limit);
  const last = page.at(-1);
  const more = rows.length > input.limit && last !== undefined;
  return { disks: page, nextCursor: more ? encodeCursor([last.createdAtMs, last.id]) : null };
};

const after = (cursor: string, order: ListDisks['order']): SQL | undefined => {
  const { beyond } = sorted[order];
  const [createdAtMs, id] = decodeCursor(cursor, ['number', 'string']);
  return or(beyond(disks.createdAtMs, createdAtMs), and(eq(disks.createdAtMs, createdAtMs), beyond(disks.id, id)));
};
