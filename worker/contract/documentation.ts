import { createRoute, z } from '@hono/zod-openapi';
import { noSecurity } from './common.ts';

const tags = ['Documentation'];

export const documentationRoutes = {
  openapi: createRoute({
    method: 'get',
    path: '/openapi.json',
    operationId: 'getOpenApi',
    tags,
    summary: 'This document',
    security: noSecurity,
    responses: {
      200: {
        description: 'OpenAPI 3.1.',
        content: { 'application/json': { schema: z.record(z.string(), z.unknown()) } },
      },
    },
  }),
  docs: createRoute({
    method: 'get',
    path: '/docs',
    operationId: 'getDocs',
    tags,
    summary: 'This document, to be read',
    security: noSecurity,
    responses: { 200: { description: 'A page.', content: { 'text/html': { schema: z.string() } } } },
  }),
};
