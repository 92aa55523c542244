import { createRoute, z } from '@hono/zod-openapi';
import { adminSecurity, errorResponses, jsonBody, jsonContent } from './common.ts';

const tags = ['Templates'];
const templateView = z.object({ name: z.string(), image: z.string() }).openapi('Template');

const warmCount = z
  .int()
  .min(0)
  .max(256)
  .openapi({ description: 'Started containers that each runner keeps ready, as far as its own limit allows.' });
const managedTemplateView = templateView.extend({ warmCount }).openapi('ManagedTemplate');
const params = z.object({ name: z.string().min(1).max(128) });

export const listTemplatesRoute = createRoute({
  method: 'get',
  path: '/v1/templates',
  operationId: 'listTemplates',
  tags,
  summary: 'What sandboxes can be made from',
  responses: {
    200: { description: 'Templates.', ...jsonContent(z.object({ templates: z.array(templateView) })) },
    ...errorResponses(),
  },
});

export const getTemplateRoute = createRoute({
  method: 'get',
  path: '/v1/templates/{name}',
  operationId: 'getTemplate',
  tags,
  security: adminSecurity,
  summary: 'Read a template as its administrator sees it',
  request: { params },
  responses: {
    200: { description: 'The template.', ...jsonContent(managedTemplateView) },
    ...errorResponses([404]),
  },
});

export const changeTemplateRoute = createRoute({
  method: 'patch',
  path: '/v1/templates/{name}',
  operationId: 'changeTemplate',
  tags,
  security: adminSecurity,
  summary: 'Change how many warm containers runners keep',
  description: 'Runners are told with their next heartbeats and then start or remove containers one by one.',
  request: { params, body: jsonBody(z.strictObject({ warmCount }).openapi('ChangeTemplate')) },
  responses: {
    200: { description: 'The template as it is now.', ...jsonContent(managedTemplateView) },
    ...errorResponses([404, 413]),
  },
});

export const templateRoutes = [listTemplatesRoute, getTemplateRoute, changeTemplateRoute];
