import { createRoute, z } from '@hono/zod-openapi';
import {
  cursorQuery,
  errorBody,
  errorResponses,
  jsonContent,
  listOrder,
  nextCursor,
  optionalJsonBody,
  sandboxParams,
  timestamp,
} from './common.ts';
import { sandboxView, timeoutSeconds } from './sandboxes.ts';

const tags = ['Snapshots'];

const name = z
  .string()
  .max(128, 'name has at most 128 characters')
  .regex(/^[a-z0-9_-]+$/, 'name is lowercase letters, digits, dashes and underscores');
const tag = z
  .string()
  .max(128, 'tag has at most 128 characters')
  .regex(/^[a-z0-9_.-]+$/, 'tag is lowercase letters, digits, dots, dashes and underscores');

const snapshotParams = z.object({
  snapshotId: z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: 'snapshotId', in: 'path' }, example: 'a1b2c3d4e5f60718a9b0c1d2e3f40516' }),
});

export const snapshotView = z
  .object({
    id: z.string(),
    sandboxId: z.string().openapi({ description: 'What it was taken of; that may have ended.' }),
    name: z.string().nullable(),
    tag: z.string(),
    template: z.string(),
    cpu: z.number().openapi({ description: 'What the sandbox had.' }),
    memoryMiB: z.int(),
    memoryKept: z.boolean().openapi({
      description:
        'Whether processes are kept, and go on where they were in what boots from it on a node that can bring them back; else its files alone.',
    }),
    sizeBytes: z.int().openapi({ description: "What it takes of the tenant's storage." }),
    contentBytes: z.int().openapi({ description: 'Of the files in it, those of the template left out.' }),
    createdAt: timestamp,
  })
  .openapi('Snapshot');

export const createSnapshotRoute = createRoute({
  method: 'post',
  path: '/v1/sandboxes/{sandboxId}/snapshots',
  operationId: 'createSnapshot',
  tags,
  summary: 'Take a snapshot of a sandbox',
  description: `Its files and, where its node can write them down, its processes, as they are at one moment. The sandbox stands still while they are
read, and goes on; a paused one stays paused. File transfers and requests to ports under way are cut where processes are written down.
Answers once the snapshot is stored whole, so that any node boots it. It counts towards the tenant's storage and outlives the sandbox.`,
  request: {
    params: sandboxParams,
    body: optionalJsonBody(
      z
        .strictObject({
          name: name.optional().openapi({ description: 'Of two with the same name and tag the older one is deleted.' }),
          tag: tag.default('default'),
          memory: z.boolean().default(true).openapi({ description: 'false: its files alone.' }),
        })
        .openapi('CreateSnapshot'),
    ),
  },
  responses: {
    201: { description: 'Stored.', ...jsonContent(snapshotView) },
    ...errorResponses([404, 409, 410, 413, 501, 502, 504, 507]),
  },
});

export const listSnapshotsRoute = createRoute({
  method: 'get',
  path: '/v1/snapshots',
  operationId: 'listSnapshots',
  tags,
  summary: 'List snapshots',
  request: {
    query: z.object({
      sandboxId: z.string().max(256).optional().openapi({ description: 'Only those taken of this sandbox.' }),
      name: z.string().max(256).optional(),
      tag: z.string().max(256).optional(),
      order: listOrder,
      ...cursorQuery,
    }),
  },
  responses: {
    200: { description: 'Snapshots.', ...jsonContent(z.object({ snapshots: z.array(snapshotView), nextCursor })) },
    ...errorResponses(),
  },
});

export const getSnapshotRoute = createRoute({
  method: 'get',
  path: '/v1/snapshots/{snapshotId}',
  operationId: 'getSnapshot',
  tags,
  summary: 'Read a snapshot',
  request: { params: snapshotParams },
  responses: { 200: { description: 'The snapshot.', ...jsonContent(snapshotView) }, ...errorResponses([404]) },
});

export const deleteSnapshotRoute = createRoute({
  method: 'delete',
  path: '/v1/snapshots/{snapshotId}',
  operationId: 'deleteSnapshot',
  tags,
  summary: 'Delete a snapshot',
  description: 'Nothing boots from it any more. Sandboxes that were made from it go on.',
  request: { params: snapshotParams },
  responses: { 204: { description: 'Deleted.' }, ...errorResponses([404]) },
});

const forkedView = z
  .object({
    sandbox: sandboxView.optional(),
    error: errorBody.shape.error.pick({ code: true, message: true }).optional(),
  })
  .openapi('Forked', { description: 'Either the sandbox or why there is none.' });

export const forkSandboxRoute = createRoute({
  method: 'post',
  path: '/v1/sandboxes/{sandboxId}/fork',
  operationId: 'forkSandbox',
  tags,
  summary: 'Fork a running sandbox',
  description: `Makes sandboxes with its files, metadata, environment and settings, each with an id and tokens of its own; where its node can write
them down, its processes go on in them as well. It stands still while it is taken, once for all, and goes on. Each of them is made or fails by itself.`,
  request: {
    params: sandboxParams,
    body: optionalJsonBody(
      z
        .strictObject({
          count: z.int().min(1, 'count is at least 1').max(100, 'count is at most 100').default(1),
          timeoutSeconds: timeoutSeconds.default(300),
        })
        .openapi('ForkSandbox'),
    ),
  },
  responses: {
    201: {
      description: 'One entry for each that was asked for.',
      ...jsonContent(
        z
          .object({
            results: z.array(forkedView),
            memoryKept: z
              .boolean()
              .openapi({ description: 'Whether processes go on, where they were, in all that were made.' }),
          })
          .openapi('Fork'),
      ),
    },
    ...errorResponses([404, 409, 410, 413, 501, 502, 504, 507]),
  },
});

export const snapshotRoutes = [
  createSnapshotRoute,
  listSnapshotsRoute,
  getSnapshotRoute,
  deleteSnapshotRoute,
  forkSandboxRoute,
];
