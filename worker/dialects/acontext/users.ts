import { z } from 'zod';
import { contextOf } from '../../api/context.ts';
import { timestampOf } from '../../api/timestamp.ts';
import { ServiceError } from '../../core/errors.ts';
import { deleteUser } from '../../core/users/delete-user.ts';
import { getUserResources } from '../../core/users/get-user-resources.ts';
import { listUsers } from '../../core/users/list-users.ts';
import { succeed } from './envelope.ts';
import { toUuid } from './ids.ts';
import { viewPage } from './page-view.ts';
import { pageQuery, readQuery } from './read-input.ts';
import type { AcontextRoute, Handled } from './route.ts';

type User = Awaited<ReturnType<typeof listUsers>>['users'][number];

const viewUser = (user: User) => ({
  id: toUuid(user.id),
  project_id: user.tenantId,
  identifier: user.identifier,
  created_at: timestampOf(user.createdAtMs),
  updated_at: timestampOf(user.updatedAtMs),
});

/** Absent or 0: all of them, with a cursor past allCount. */
const listQuery = pageQuery.extend({ limit: z.coerce.number().int().min(0).max(200).default(0) });

/** How many «all» can be on one page: some MB of identifiers. */
const allCount = 1_000;

const list = async (c: Handled): Promise<Response> => {
  const { limit, cursor, time_desc: newestFirst } = readQuery(c, listQuery);
  const order = newestFirst ? 'desc' : 'asc';
  const page = { order, cursor, limit: limit === 0 ? allCount : limit } as const;
  const { users, nextCursor } = await listUsers(contextOf(c), page);
  return succeed(c, 200, viewPage(users.map(viewUser), nextCursor));
};

const identifierOf = (c: Handled): string => c.req.param('identifier') ?? '';

const resources = async (c: Handled): Promise<Response> => {
  const { disksCount, skillsCount } = await getUserResources(contextOf(c), identifierOf(c));
  return succeed(c, 200, {
    counts: { sessions_count: 0, disks_count: disksCount, skills_count: skillsCount },
  });
};

/** A user that there is not is deleted already. */
const remove = async (c: Handled): Promise<Response> => {
  try {
    await deleteUser(contextOf(c), identifierOf(c));
  } catch (error) {
    if (!(error instanceof ServiceError && error.code === 'not_found')) throw error;
  }
  return succeed(c, 200);
};

export const userRoutes: readonly AcontextRoute[] = [
  { method: 'GET', path: '/user/ls', body: 'none', handler: list },
  { method: 'GET', path: '/user/{identifier}/resources', body: 'none', handler: resources },
  { method: 'DELETE', path: '/user/{identifier}', body: 'none', handler: remove },
];
