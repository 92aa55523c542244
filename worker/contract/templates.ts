import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonContent } from './common.ts';

const templateView = z.object({ name: z.string(), image: z.string() }).openapi('Template');

export const listTemplatesRoute = createRoute({
  method: 'get',
  path: '/v1/templates',
  operationId: 'listTemplates',
  tags: ['Templates'],
  summary: 'What sandboxes can be made from',
  responses: {
    200: { description: 'Templates.', ...jsonContent(z.object({ templates: z.array(templateView) })) },
    ...errorResponses(),
  },
});

export const templateRoutes = [listTemplatesRoute];
