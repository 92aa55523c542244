import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonContent, timestamp } from './common.ts';

const moment = z.iso.datetime({ offset: true });

const activityView = z
  .object({
    stepSeconds: z.number(),
    steps: z.array(
      z.object({
        at: timestamp.openapi({ description: 'Where the step ends.' }),
        concurrent: z.int().openapi({ description: 'Sandboxes that there were then, paused ones among them.' }),
        started: z.int().openapi({ description: 'Sandboxes that began to run in it.' }),
      }),
    ),
  })
  .openapi('Activity');

const getActivityRoute = createRoute({
  method: 'get',
  path: '/v1/me/activity',
  operationId: 'getActivity',
  tags: ['Keys'],
  summary: 'How many sandboxes the tenant had and started',
  description: 'In at most 300 steps of equal length, of 5 seconds at least.',
  request: {
    query: z.object({
      from: moment.optional().openapi({ description: 'Absent: 7 days before `to`.' }),
      to: moment.optional().openapi({ description: 'Absent: now. At most 31 days after `from`.' }),
    }),
  },
  responses: { 200: { description: 'Steps, oldest first.', ...jsonContent(activityView) }, ...errorResponses() },
});

export const activityRoutes = { getActivity: getActivityRoute };
