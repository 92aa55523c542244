import { and, eq, sql } from 'drizzle-orm';
import { disks, users } from '../../../db/directory.ts';
import { emptyDisks } from '../disks/empty-disks.ts';
import type { Context } from '../ports.ts';
import { findUser } from './ensure-user.ts';
import { userNotFound } from './get-user-resources.ts';

/** The user, its disks and its skills with all that lies in them. Throws not_found. */
export const deleteUser = async (ctx: Context, identifier: string): Promise<void> => {
  const user = await findUser(ctx, identifier);
  if (!user) throw userNotFound(identifier);
  await emptyDisks(ctx, sql`select ${disks.id} from ${disks} where ${disks.userId} = ${user.id}`);
  const own = and(eq(users.id, user.id), eq(users.tenantId, ctx.actor.tenant.id));
  const [deleted] = await ctx.directory.delete(users).where(own).returning({ id: users.id });
  if (!deleted) throw userNotFound(identifier);
};
