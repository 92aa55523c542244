import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, jsonContent, sandboxParams, timestamp } from './common.ts';

const createPreviewRoute = createRoute({
  method: 'post',
  path: '/v1/sandboxes/{sandboxId}/previews',
  operationId: 'createPreview',
  tags: ['Sandboxes'],
  summary: 'Make a signed URL of a port',
  description: `Whoever has the URL reaches what listens on that port, by HTTP of any method and by WebSocket, without a key, until it expires or
the sandbox ends. Nothing is stored for it, so it can be made as often as you like; nothing needs to listen there yet. Where ports are public
(\`publicPorts\`) the same host name answers without a signature, too.`,
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          port: z.int().min(1).max(65_535).openapi({ description: 'Any but 49983.', example: 3000 }),
          expiresInSeconds: z
            .int()
            .min(1, 'expiresInSeconds is at least 1')
            .default(3600)
            .openapi({ description: 'More than 604800 (7 days) is cut to it.' }),
        })
        .openapi('CreatePreview'),
    ),
  },
  responses: {
    201: {
      description: 'The URLs.',
      ...jsonContent(
        z
          .object({
            port: z.int(),
            url: z.url().nullable().openapi({
              description:
                "For browsers, on a host name of the port's own. null: the deployment has no sandbox domain.",
            }),
            pathUrl: z.url().openapi({
              description: `Needs no DNS: below a path of the API's own origin. What it answers runs no scripts in a browser, and sets no cookies.`,
            }),
            expiresAt: timestamp,
          })
          .openapi('Preview'),
      ),
    },
    ...errorResponses([404, 410, 413]),
  },
});

export const previewRoutes = { create: createPreviewRoute };
