import { createRoute, z } from '@hono/zod-openapi';
import { artifactView } from './artifact-view.ts';
import { artifactQuery, ifMatch } from './artifacts.ts';
import { diskParams, errorResponses, jsonContent } from './common.ts';

const path = '/v1/disks/{diskId}/artifacts/content';
const tags = ['artifacts'];

const bytes = { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } };
const headers = {
  etag: { schema: { type: 'string' as const }, description: 'For If-Match, If-None-Match, If-Range.' },
};

const readRoute = createRoute({
  method: 'get',
  path,
  operationId: 'readArtifact',
  tags,
  summary: 'Read an artifact',
  description: `Its bytes with its type, as an attachment; wholly those of one write. \`Range: bytes=…\` with one range is answered by 206 (several: the whole),
If-None-Match with the ETag by 304; HEAD gives the headers alone. An answer that ends before Content-Length was cut: ask for the rest by Range, with
If-Range and the ETag.`,
  request: {
    params: diskParams,
    query: artifactQuery,
    headers: z.object({
      range: z.string().max(256).optional().openapi({ example: 'bytes=0-1023' }),
      'if-range': z.string().max(256).optional().openapi({ description: 'An ETag: if it has changed, all is sent.' }),
      'if-none-match': z.string().max(4096).optional(),
    }),
  },
  responses: {
    200: { description: 'The artifact.', content: bytes, headers },
    206: { description: 'The range.', content: bytes, headers },
    304: { description: 'It is still what the ETag names.' },
    ...errorResponses([404, 416]),
  },
});

const writeRoute = createRoute({
  method: 'put',
  path,
  operationId: 'writeArtifact',
  tags,
  summary: 'Write an artifact',
  description: `The request's body is the content, with a Content-Length or chunked, up to 5 GiB less 5 MiB. A reader sees the old or the new; a request that is
cut changes nothing. Content that the tenant has already takes no storage.

Content-Type becomes the artifact's type; where it is absent or says nothing (\`application/octet-stream\`, \`application/x-www-form-urlencoded\`) the type is
told from the content and the name. An artifact that is overwritten keeps its metadata unless \`x-metadata\` gives another.`,
  request: {
    params: diskParams,
    query: artifactQuery,
    headers: z.object({
      'if-match': ifMatch,
      'if-none-match': z
        .string()
        .max(4096)
        .optional()
        .openapi({ description: '`*`: only if nothing is there; else 412.', example: '*' }),
      'x-metadata': z.string().max(8192, 'at most 8192 characters; PATCH takes more').optional().openapi({
        description: 'Metadata: a JSON object in ASCII (other characters as \\uXXXX), at most 8 KiB.',
        example: '{"source":"agent"}',
      }),
    }),
    body: { required: true as const, content: bytes },
  },
  responses: {
    200: { description: 'Overwritten.', ...jsonContent(artifactView), headers },
    201: { description: 'New.', ...jsonContent(artifactView), headers },
    ...errorResponses([404, 412, 413]),
  },
});

export const artifactContentRoutes = { read: readRoute, write: writeRoute };
