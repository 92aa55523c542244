import { and, eq } from 'drizzle-orm';
import { disks, skills, type User } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { findUser } from './ensure-user.ts';

export interface UserResources {
  user: User;
  disksCount: number;
  skillsCount: number;
}

export const userNotFound = (identifier: string): ServiceError =>
  new ServiceError('not_found', `There is no user ${JSON.stringify(identifier.slice(0, 128))}.`);

/** A user by its identifier, and how much belongs to it. Throws not_found. */
export const getUserResources = async (ctx: Context, identifier: string): Promise<UserResources> => {
  const user = await findUser(ctx, identifier);
  if (!user) throw userNotFound(identifier);
  const [disksCount, skillsCount] = await Promise.all([
    ctx.directory.$count(disks, and(eq(disks.userId, user.id), eq(disks.purpose, 'disk'))),
    ctx.directory.$count(skills, eq(skills.userId, user.id)),
  ]);
  return { user, disksCount, skillsCount };
};
