import { createRoute, z } from '@hono/zod-openapi';
import { adminSecurity, cursorQuery, errorResponses, jsonContent, nextCursor, timestamp } from './common.ts';

const orphanView = z
  .object({
    key: z.string().openapi({ example: 'blobs/ten_0123456789abcdef01234567/6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
    sizeBytes: z.int().min(0),
    uploadedAt: timestamp,
    foundAt: timestamp,
  })
  .openapi('Orphan');

export const listOrphansRoute = createRoute({
  method: 'get',
  path: '/v1/orphans',
  operationId: 'listOrphans',
  tags: ['Storage'],
  security: adminSecurity,
  summary: 'List objects that nothing refers to',
  description: `Objects of the bucket, older than a day, that no row of the database knows: left by a write that was cut in a bad moment, or not ours. They
are found page by page and never deleted; delete them in the bucket, and they leave this list with the next round.`,
  request: { query: z.object({ ...cursorQuery, cursor: z.string().max(2048).optional() }) },
  responses: {
    200: { description: 'By key.', ...jsonContent(z.object({ orphans: z.array(orphanView), nextCursor })) },
    ...errorResponses(),
  },
});

export const orphanRoutes = [listOrphansRoute];
