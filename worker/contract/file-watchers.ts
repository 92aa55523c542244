import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, jsonContent, sandboxParams } from './common.ts';
import { sandboxPath } from './execution.ts';
import { callerFields, fileEntry } from './files.ts';

/** Watches for who asks now and then. */
const base = '/v1/sandboxes/{sandboxId}/files/watchers';
const tags = ['files'];

const watcherParams = sandboxParams.extend({
  watcherId: z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: 'watcherId', in: 'path' }, example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
});

const createRequest = z
  .strictObject({
    path: sandboxPath,
    ...callerFields,
    recursive: z.boolean().default(false).openapi({ description: 'Directories below it too.' }),
    includeEntries: z.boolean().default(false).openapi({ description: 'Tell with each change what is there.' }),
  })
  .openapi('CreateWatcherRequest');

const change = z
  .object({
    kind: z.enum(['create', 'write', 'remove', 'rename', 'chmod']),
    path: z.string().openapi({ example: '/home/user/data.csv' }),
    entry: fileEntry.optional(),
  })
  .openapi('FileChange');

const createWatcherRoute = createRoute({
  method: 'post',
  path: base,
  operationId: 'createFileWatcher',
  tags,
  summary: 'Gather a directory’s changes',
  description: `The sandbox gathers them until they are fetched, 16,384 of them or 2 MiB at most. A watcher that nobody has asked for an hour of the
sandbox’s running time ends. At most 64 a sandbox.`,
  request: { params: sandboxParams, body: jsonBody(createRequest) },
  responses: {
    201: { description: 'What happens from now on is seen.', ...jsonContent(z.object({ watcherId: z.string() })) },
    ...errorResponses([404, 409, 410]),
  },
});

const takeEventsRoute = createRoute({
  method: 'post',
  path: `${base}/{watcherId}/events`,
  operationId: 'takeFileEvents',
  tags,
  summary: 'Fetch the gathered changes',
  description:
    'All that has happened until now, told once. `droppedEvents`: so many more did not fit; look at what is there.',
  request: { params: watcherParams },
  responses: {
    200: {
      description: 'The changes, in their order.',
      ...jsonContent(z.object({ changes: z.array(change), droppedEvents: z.int().min(0) })),
    },
    ...errorResponses([404, 409, 410]),
  },
});

const removeWatcherRoute = createRoute({
  method: 'delete',
  path: `${base}/{watcherId}`,
  operationId: 'removeFileWatcher',
  tags,
  summary: 'Stop gathering',
  request: { params: watcherParams },
  responses: { 204: { description: 'It is gone.' }, ...errorResponses([404, 409, 410]) },
});

export const fileWatcherRoutes = {
  create: createWatcherRoute,
  takeEvents: takeEventsRoute,
  remove: removeWatcherRoute,
};
