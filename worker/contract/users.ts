import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonContent, listOrder, listQuery, nextCursor, timestamp } from './common.ts';
import { userIdentifier } from './disks.ts';

const base = '/v1/users';
const tags = ['users'];

const params = z.object({
  user: userIdentifier.openapi({
    param: { name: 'user', in: 'path' },
    description: 'The identifier, percent-encoded as one segment: `a/b` is `a%2Fb`.',
    example: 'alice@example.com',
  }),
});

const userFields = { user: z.string().openapi({ example: 'alice@example.com' }), createdAt: timestamp };
const userView = z.object(userFields).openapi('User');
const userResources = z
  .object({ ...userFields, disksCount: z.int().min(0), skillsCount: z.int().min(0) })
  .openapi('UserResources');

export const listUsersRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listUsers',
  tags,
  summary: 'List users',
  description: 'Whom disks and skills were said to belong to. A user comes to be on first use.',
  request: { query: z.strictObject({ order: listOrder, ...listQuery }) },
  responses: {
    200: { description: 'Users.', ...jsonContent(z.object({ users: z.array(userView), nextCursor })) },
    ...errorResponses(),
  },
});

export const getUserRoute = createRoute({
  method: 'get',
  path: `${base}/{user}`,
  operationId: 'getUser',
  tags,
  summary: 'Read a user, and how much belongs to it',
  request: { params },
  responses: { 200: { description: 'The user.', ...jsonContent(userResources) }, ...errorResponses([404]) },
});

export const deleteUserRoute = createRoute({
  method: 'delete',
  path: `${base}/{user}`,
  operationId: 'deleteUser',
  tags,
  summary: 'Delete a user with its disks and skills',
  request: { params },
  responses: { 204: { description: 'They are gone.' }, ...errorResponses([404]) },
});

export const userRoutes = [listUsersRoute, getUserRoute, deleteUserRoute];
