import { createRoute, z } from '@hono/zod-openapi';
import { adminSecurity, errorResponses, jsonContent, timestamp } from './common.ts';

const runnerView = z
  .object({
    id: z.string().openapi({ example: '6f1b6b1c0f7e4d5f' }),
    status: z.enum(['online', 'unreachable', 'draining']),
    heardAt: timestamp,
    region: z.string(),
    cpu: z.number().openapi({ description: 'vCPUs of the node.' }),
    memoryMiB: z.int(),
    memoryAvailableMiB: z.int(),
    sandboxes: z.int().openapi({ description: 'That have not ended; paused ones count.' }),
    sandboxLimit: z.int().openapi({ description: '0: none can be begun there now; its log says why.' }),
    networks: z.array(z.enum(['on', 'off'])),
    runtime: z.string().openapi({
      description: 'What runs the containers, as the node’s engine calls it.',
      example: 'runc',
    }),
    checkpoint: z.enum(['none', 'freeze', 'criu', 'gvisor']).openapi({
      description:
        'What a pause that keeps processes does with their memory. `none`: there is no such pause. `freeze`: it stays in use. `criu`, `gvisor`: they are written to disk and it is freed, where that can be done.',
    }),
  })
  .openapi('Runner');

export const listRunnersRoute = createRoute({
  method: 'get',
  path: '/v1/runners',
  operationId: 'listRunners',
  tags: ['Runners'],
  security: adminSecurity,
  summary: 'List runners',
  description: 'As of their last heartbeats. One that has left is not in it.',
  responses: {
    200: { description: 'By id.', ...jsonContent(z.object({ runners: z.array(runnerView) })) },
    ...errorResponses(),
  },
});

export const runnerRoutes = [listRunnersRoute];
