import { createRoute, z } from '@hono/zod-openapi';
import { cursorQuery, errorResponses, jsonBody, jsonContent, nextCursor, timestamp } from './common.ts';

const tags = ['Keys'];

export const scope = z.enum(['read', 'write', 'admin']).openapi({
  description: 'read: GET. write: everything that changes something, and read. admin: may give itself away, and write.',
});

export const createKeyBody = z
  .strictObject({
    name: z.string().min(1).max(128),
    scopes: z.array(scope).min(1).max(3).default(['read', 'write']),
    expiresAt: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Absent: it does not expire.' }),
  })
  .openapi('CreateKey');

export const keyView = z
  .object({
    id: z.string(),
    name: z.string(),
    hint: z.string().openapi({ description: 'Its last four characters.' }),
    scopes: z.array(scope),
    createdAt: timestamp,
    expiresAt: timestamp.nullable(),
    revokedAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable().openapi({ description: 'To about a minute.' }),
  })
  .openapi('Key');

export const createdKeyView = keyView
  .extend({
    key: z.string().openapi({
      description:
        'Shown this once. The prefixes e2b_, sk-ac- and sk-sb- before the same 40 characters are the same key.',
      example: 'gb_0123456789abcdef0123456789abcdef01234567',
    }),
  })
  .openapi('CreatedKey');

export const createKeyRoute = createRoute({
  method: 'post',
  path: '/v1/keys',
  operationId: 'createKey',
  tags,
  summary: 'Create a key',
  description: 'Never wider and never longer-lived than the key that makes it.',
  request: { body: jsonBody(createKeyBody) },
  responses: { 201: { description: 'The key.', ...jsonContent(createdKeyView) }, ...errorResponses([413]) },
});

export const listKeysRoute = createRoute({
  method: 'get',
  path: '/v1/keys',
  operationId: 'listKeys',
  tags,
  summary: 'List keys',
  description: 'Newest first, revoked and expired ones among them.',
  request: { query: z.object(cursorQuery) },
  responses: {
    200: { description: 'Keys.', ...jsonContent(z.object({ keys: z.array(keyView), nextCursor })) },
    ...errorResponses(),
  },
});

export const revokeKeyRoute = createRoute({
  method: 'delete',
  path: '/v1/keys/{keyId}',
  operationId: 'revokeKey',
  tags,
  summary: 'Revoke a key',
  description: 'Holds everywhere within 30 seconds. Revoking again is no error.',
  request: { params: z.object({ keyId: z.string().min(1).max(128) }) },
  responses: { 200: { description: 'Revoked.', ...jsonContent(keyView) }, ...errorResponses([404]) },
});

export const limitsView = z
  .object({
    maxSandboxes: z.int(),
    maxCpus: z.int(),
    maxMemoryMiB: z.int(),
    maxTtlSeconds: z.int(),
    maxStorageBytes: z.int().openapi({ description: 'Of all artifacts, equal content counted once.' }),
    requestsPerSecond: z.int().openapi({ description: 'For each key.' }),
  })
  .openapi('Limits');

export const getMeRoute = createRoute({
  method: 'get',
  path: '/v1/me',
  operationId: 'getMe',
  tags,
  summary: 'Whose key this is',
  responses: {
    200: {
      description: 'The tenant and the key.',
      ...jsonContent(
        z
          .object({
            tenant: z.object({ id: z.string(), name: z.string(), limits: limitsView }),
            usage: z.object({
              storageBytes: z.int().openapi({ description: 'What counts against maxStorageBytes.' }),
            }),
            key: z.object({ id: z.string(), scopes: z.array(scope), expiresAt: timestamp.nullable() }),
          })
          .openapi('Me'),
      ),
    },
    ...errorResponses(),
  },
});

export const keyRoutes = [createKeyRoute, listKeysRoute, revokeKeyRoute, getMeRoute];
