import * as routes from '../contract/users.ts';
import { deleteUser } from '../core/users/delete-user.ts';
import { getUserResources } from '../core/users/get-user-resources.ts';
import { listUsers } from '../core/users/list-users.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

const viewUser = ({ identifier, createdAtMs }: { identifier: string; createdAtMs: number }) => ({
  user: identifier,
  createdAt: timestampOf(createdAtMs),
});

export const registerUsers = (app: App): void => {
  app.openapi(routes.listUsersRoute, async (c) => {
    const { order, cursor, limit } = c.req.valid('query');
    const { users, nextCursor } = await listUsers(contextOf(c), { order, cursor, limit });
    return c.json({ users: users.map(viewUser), nextCursor }, 200);
  });

  app.openapi(routes.getUserRoute, async (c) => {
    const { user, ...counts } = await getUserResources(contextOf(c), c.req.valid('param').user);
    return c.json({ ...viewUser(user), ...counts }, 200);
  });

  app.openapi(routes.deleteUserRoute, async (c) => {
    await deleteUser(contextOf(c), c.req.valid('param').user);
    return c.body(null, 204);
  });
};
