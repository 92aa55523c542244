import { createRoute, z } from '@hono/zod-openapi';
import { diskParams, errorResponses, jsonBody, jsonContent, noSecurity, timestamp } from './common.ts';

const tags = ['artifacts'];

const createUrlRoute = createRoute({
  method: 'post',
  path: '/v1/disks/{diskId}/artifacts/url',
  operationId: 'createArtifactUrl',
  tags,
  summary: 'Make a public URL of an artifact',
  description: `Whoever has the URL can read the artifact without a key until it expires: what it holds at that time, also after it was overwritten or
moved. Deleting the artifact ends it. Nothing is stored for it, so it can be made as often as you like.`,
  request: {
    params: diskParams,
    body: jsonBody(
      z
        .strictObject({
          path: z.string().min(1).max(1024).openapi({ description: 'The artifact.', example: '/reports/2026.csv' }),
          expiresInSeconds: z
            .int()
            .min(1, 'expiresInSeconds is at least 1')
            .default(3600)
            .openapi({ description: 'More than 604800 (7 days) is cut to it.' }),
          direct: z
            .boolean()
            .default(false)
            .openapi({
              description: `Straight to the object store (S3, presigned): what the artifact holds now. Removing the artifact ends it no sooner than a day later.
501 where the deployment has no S3 credentials.`,
            }),
        })
        .openapi('CreateArtifactUrlRequest'),
    ),
  },
  responses: {
    200: {
      description: 'The URL.',
      ...jsonContent(z.object({ url: z.url(), expiresAt: timestamp }).openapi('ArtifactUrl')),
    },
    ...errorResponses([404, 413, 501]),
  },
});

const bytes = { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } };
const errors = errorResponses([404, 416, 502]);

const readMaterialRoute = createRoute({
  method: 'get',
  path: '/v1/material/{token}',
  operationId: 'readMaterial',
  tags,
  security: noSecurity,
  summary: 'Read an artifact by its public URL',
  description: `Its bytes with its type, as an attachment. A token that is malformed, forged or expired, and one whose artifact was deleted, is answered by
the same 404. \`Range: bytes=…\` with one range is answered by 206, If-None-Match with the ETag by 304; HEAD gives the headers alone.`,
  request: {
    params: z.object({
      token: z
        .string()
        .min(1)
        .max(256)
        .openapi({ param: { name: 'token', in: 'path' }, example: '0'.repeat(64) }),
    }),
    headers: z.object({
      range: z.string().max(256).optional().openapi({ example: 'bytes=0-1023' }),
      'if-range': z.string().max(256).optional().openapi({ description: 'An ETag: if it has changed, all is sent.' }),
      'if-none-match': z.string().max(4096).optional(),
    }),
  },
  responses: {
    200: { description: 'The artifact.', content: bytes },
    206: { description: 'The range.', content: bytes },
    304: { description: 'It is still what the ETag names.' },
    400: errors[400],
    404: errors[404],
    416: errors[416],
    502: errors[502],
    503: errors[503],
  },
});

export const artifactUrlRoutes = { create: createUrlRoute, read: readMaterialRoute };
