import { createRoute, z } from '@hono/zod-openapi';
import { jsonContent, noSecurity } from './common.ts';

const tags = ['Health'];

const readiness = z
  .object({ status: z.enum(['ready', 'not_ready']), notReady: z.array(z.enum(['redis', 'database', 'runners'])) })
  .openapi('Readiness');

export const healthRoutes = {
  healthz: createRoute({
    method: 'get',
    path: '/healthz',
    operationId: 'getLiveness',
    tags,
    summary: 'Whether the control plane answers',
    security: noSecurity,
    responses: { 200: { description: 'It does.', ...jsonContent(z.object({ status: z.literal('ok') })) } },
  }),
  readyz: createRoute({
    method: 'get',
    path: '/readyz',
    operationId: 'getReadiness',
    tags,
    summary: 'Whether sandboxes can be made: Redis and the database answer and a runner is online',
    security: noSecurity,
    responses: {
      200: { description: 'Ready.', ...jsonContent(readiness) },
      503: { description: 'Not ready, and what is missing.', ...jsonContent(readiness) },
    },
  }),
  health: createRoute({
    method: 'get',
    path: '/health',
    operationId: 'getHealth',
    tags,
    summary: 'The same as /healthz, in the form that clients of other services expect',
    security: noSecurity,
    responses: {
      200: { description: 'It does.', ...jsonContent(z.object({ code: z.literal(0), msg: z.literal('ok') })) },
    },
  }),
};
