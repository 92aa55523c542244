import { createRoute, z } from '@hono/zod-openapi';
import {
  diskParams,
  errorResponses,
  jsonBody,
  jsonContent,
  listOrder,
  listQuery,
  nextCursor,
  timestamp,
} from './common.ts';

const base = '/v1/disks';
const tags = ['disks'];

const metadataMaxBytes = 16 * 1024;
const utf8 = new TextEncoder();

export const metadataInput = z
  .record(z.string(), z.unknown())
  .refine(
    (metadata) => utf8.encode(JSON.stringify(metadata)).byteLength <= metadataMaxBytes,
    `metadata has at most ${metadataMaxBytes} bytes as JSON`,
  )
  .openapi({ description: 'An object of your own, at most 16 KiB as JSON.', example: { source: 'agent' } });

export const userIdentifier = z.string().min(1, 'a user is not empty').max(1024, 'a user has at most 1024 characters');

const name = z.string().max(256, 'name has at most 256 characters').openapi({ example: 'reports' });

export const diskView = z
  .object({
    id: z.string().openapi({ example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
    name: z.string(),
    user: z.string().nullable().openapi({ description: 'Whom it belongs to, by your own identifier. null: nobody.' }),
    metadata: z.record(z.string(), z.unknown()),
    createdAt: timestamp,
    updatedAt: timestamp.openapi({ description: 'Of its name and metadata.' }),
  })
  .openapi('Disk');

const one = jsonContent(diskView);

export const createDiskRoute = createRoute({
  method: 'post',
  path: base,
  operationId: 'createDisk',
  tags,
  summary: 'Create a disk',
  description:
    'Files that outlive sandboxes. It is empty, takes nothing until something is written, and has no size of its own.',
  request: {
    body: jsonBody(
      z
        .strictObject({
          name: name.default(''),
          user: userIdentifier.optional().openapi({
            description:
              'Whom it belongs to, by your own identifier. A user comes to be on first use, and its disks go with it.',
          }),
          metadata: metadataInput.default({}),
        })
        .openapi('CreateDisk'),
    ),
  },
  responses: { 201: { description: 'The disk.', ...one }, ...errorResponses([413]) },
});

export const listDisksRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listDisks',
  tags,
  summary: 'List disks',
  request: {
    query: z.strictObject({
      user: userIdentifier.optional().openapi({ description: "This user's only. A user that there is not has none." }),
      order: listOrder,
      ...listQuery,
    }),
  },
  responses: {
    200: { description: 'Disks.', ...jsonContent(z.object({ disks: z.array(diskView), nextCursor })) },
    ...errorResponses(),
  },
});

export const getDiskRoute = createRoute({
  method: 'get',
  path: `${base}/{diskId}`,
  operationId: 'getDisk',
  tags,
  summary: 'Read a disk',
  request: { params: diskParams },
  responses: { 200: { description: 'The disk.', ...one }, ...errorResponses([404]) },
});

export const changeDiskRoute = createRoute({
  method: 'patch',
  path: `${base}/{diskId}`,
  operationId: 'changeDisk',
  tags,
  summary: 'Change name or metadata',
  description: 'What is absent stays. Metadata is replaced whole.',
  request: {
    params: diskParams,
    body: jsonBody(z.strictObject({ name: name.optional(), metadata: metadataInput.optional() }).openapi('ChangeDisk')),
  },
  responses: { 200: { description: 'The disk as it is now.', ...one }, ...errorResponses([404, 413]) },
});

export const deleteDiskRoute = createRoute({
  method: 'delete',
  path: `${base}/{diskId}`,
  operationId: 'deleteDisk',
  tags,
  summary: 'Delete a disk and all that lies on it',
  request: { params: diskParams },
  responses: { 204: { description: 'It is gone.' }, ...errorResponses([404]) },
});

export const diskRoutes = [createDiskRoute, listDisksRoute, getDiskRoute, changeDiskRoute, deleteDiskRoute];
