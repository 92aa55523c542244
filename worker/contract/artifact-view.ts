import { z } from '@hono/zod-openapi';
import { timestamp } from './common.ts';

export const artifactView = z
  .object({
    name: z.string().openapi({ example: 'july.csv' }),
    path: z.string().openapi({ description: 'From the root, with its name.', example: '/reports/july.csv' }),
    sizeBytes: z.int().min(0).openapi({ example: 1024 }),
    contentType: z.string().openapi({ example: 'text/csv; charset=utf-8' }),
    metadata: z.record(z.string(), z.unknown()).openapi({ example: { source: 'agent' } }),
    etag: z
      .string()
      .openapi({ description: 'Changes with the content and with the metadata; for If-Match.', example: '"5f2c…"' }),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('Artifact');
