import { and, eq } from 'drizzle-orm';
import { users, type User } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import { newUserId } from '../ids.ts';
import type { Context } from '../ports.ts';

export const findUser = async (ctx: Context, identifier: string): Promise<User | undefined> => {
  const own = and(eq(users.tenantId, ctx.actor.tenant.id), eq(users.identifier, identifier));
  const [user] = await ctx.directory.select().from(users).where(own).limit(1);
  return user;
};

/** The tenant's user of that name, made on first use. An identifier is the tenant's own: any text of 1 to 1,024 characters. */
export const ensureUser = async (ctx: Context, identifier: string): Promise<User> => {
  const known = await findUser(ctx, identifier);
  if (known) return known;
  const nowMs = ctx.now();
  await ctx.directory
    .insert(users)
    .values({ id: newUserId(), tenantId: ctx.actor.tenant.id, identifier, createdAtMs: nowMs, updatedAtMs: nowMs })
    .onConflictDoNothing();
  const user = await findUser(ctx, identifier);
  if (user) return user;
  throw new ServiceError('conflict', 'The user was deleted in the same moment; try again.');
};
