import { createRoute, z } from '@hono/zod-openapi';
import { adminSecurity, cursorQuery, errorResponses, jsonBody, jsonContent, nextCursor, timestamp } from './common.ts';
import { createdKeyView, createKeyBody, limitsView } from './keys.ts';

const tags = ['Tenants'];
const security = adminSecurity;
const params = z.object({ tenantId: z.string().min(1).max(128) });

const limitsInput = z
  .strictObject({
    maxSandboxes: z.int().min(0).max(1_000_000),
    maxCpus: z.int().min(0).max(1_000_000),
    maxMemoryMiB: z
      .int()
      .min(0)
      .max(1024 ** 3),
    maxTtlSeconds: z
      .int()
      .min(1)
      .max(365 * 86_400),
    maxStorageBytes: z
      .int()
      .min(0)
      .max(1024 ** 5),
    requestsPerSecond: z.int().min(1).max(1_000_000),
  })
  .partial()
  .openapi('LimitsInput', { description: 'What is absent has its default, or stays as it is.' });

const tenantView = z
  .object({
    id: z.string(),
    name: z.string(),
    limits: limitsView,
    createdAt: timestamp,
    suspendedAt: timestamp.nullable(),
  })
  .openapi('Tenant');

const one = jsonContent(tenantView);

export const createTenantRoute = createRoute({
  method: 'post',
  path: '/v1/tenants',
  operationId: 'createTenant',
  tags,
  security,
  summary: 'Create a tenant',
  request: {
    body: jsonBody(
      z.strictObject({ name: z.string().min(1).max(128), limits: limitsInput.default({}) }).openapi('CreateTenant'),
    ),
  },
  responses: { 201: { description: 'The tenant.', ...one }, ...errorResponses([413]) },
});

export const listTenantsRoute = createRoute({
  method: 'get',
  path: '/v1/tenants',
  operationId: 'listTenants',
  tags,
  security,
  summary: 'List tenants',
  request: { query: z.object(cursorQuery) },
  responses: {
    200: { description: 'Newest first.', ...jsonContent(z.object({ tenants: z.array(tenantView), nextCursor })) },
    ...errorResponses(),
  },
});

export const getTenantRoute = createRoute({
  method: 'get',
  path: '/v1/tenants/{tenantId}',
  operationId: 'getTenant',
  tags,
  security,
  summary: 'Read a tenant',
  request: { params },
  responses: { 200: { description: 'The tenant.', ...one }, ...errorResponses([404]) },
});

export const changeTenantRoute = createRoute({
  method: 'patch',
  path: '/v1/tenants/{tenantId}',
  operationId: 'changeTenant',
  tags,
  security,
  summary: 'Change limits or name, suspend or readmit',
  description: "A suspended tenant's keys are refused; its sandboxes run to their ends.",
  request: {
    params,
    body: jsonBody(
      z
        .strictObject({
          name: z.string().min(1).max(128).optional(),
          limits: limitsInput.default({}),
          suspended: z.boolean().optional(),
        })
        .openapi('ChangeTenant'),
    ),
  },
  responses: { 200: { description: 'The tenant as it is now.', ...one }, ...errorResponses([404, 413]) },
});

export const createTenantKeyRoute = createRoute({
  method: 'post',
  path: '/v1/tenants/{tenantId}/keys',
  operationId: 'createTenantKey',
  tags,
  security,
  summary: "Create a tenant's key",
  request: { params, body: jsonBody(createKeyBody) },
  responses: { 201: { description: 'The key.', ...jsonContent(createdKeyView) }, ...errorResponses([404, 413]) },
});

export const tenantRoutes = [
  createTenantRoute,
  listTenantsRoute,
  getTenantRoute,
  changeTenantRoute,
  createTenantKeyRoute,
];
