import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, jsonContent, sandboxParams, timestamp } from './common.ts';
import { sandboxPath, userName } from './execution.ts';

const base = '/v1/sandboxes/{sandboxId}/files';
const tags = ['files'];

export const fileModeInput = z
  .string()
  .regex(/^0?[0-7]{3,4}$/, 'mode is octal, such as 0644')
  .transform((octal) => Number.parseInt(octal, 8))
  .openapi({
    type: 'string',
    description: 'Permission bits, octal. Absent: those of the file that is replaced, else 0644 (directories 0755).',
    example: '0644',
  });

const flag = (description: string) =>
  z
    .enum(['true', 'false'], 'is true or false')
    .default('false')
    .transform((text) => text === 'true')
    .openapi({ type: 'boolean', default: false, description });

export const userField = userName
  .default('user')
  .openapi({ description: 'On whose behalf: this account’s rights apply, and it owns what is made.' });
const privilegedText =
  'With the rights of the sandbox’s root instead of the user’s; what is made still belongs to the user.';
export const pathQuery = z.strictObject({ path: sandboxPath, user: userField });
export const callerQuery = pathQuery.extend({ privileged: flag(privilegedText) });
export const callerFields = {
  user: userField,
  privileged: z.boolean().default(false).openapi({ description: privilegedText }),
};
const resolveSymlinks = flag('Say of symlinks where they lead in the end: `leadsTo`.');
const fileKind = z.enum(['file', 'directory', 'symlink', 'other']);
const fileMode = z.string().openapi({ description: 'Permission bits, octal.', example: '0644' });

export const fileEntry = z
  .object({
    name: z.string().openapi({ example: 'data.csv' }),
    path: z.string().openapi({ example: '/home/user/data.csv' }),
    kind: fileKind,
    special: z
      .enum(['block', 'character', 'fifo', 'socket'])
      .nullable()
      .openapi({ description: 'What an `other` is.' }),
    sizeBytes: z.int().min(0).openapi({ example: 1024 }),
    mode: fileMode,
    uid: z.int().min(0).openapi({ example: 1000 }),
    gid: z.int().min(0).openapi({ example: 1000 }),
    owner: z.string().openapi({ example: 'user' }),
    group: z.string().openapi({ example: 'user' }),
    modifiedAt: timestamp,
    symlinkTarget: z.string().nullable(),
    leadsTo: z
      .object({ path: z.string(), kind: fileKind, mode: fileMode })
      .nullable()
      .openapi({ description: 'Of a symlink, with resolveSymlinks; null where it leads nowhere.' }),
    metadata: z
      .record(z.string(), z.string())
      .openapi({ description: 'What the file was written with.', example: { author: 'ada' } }),
  })
  .openapi('FileEntry');
const entryAnswer = z.object({ entry: fileEntry });

const listRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listFiles',
  tags,
  summary: 'List a directory',
  description:
    'Sorted by path, at most 10,000 entries; `truncated` says that there are more. Symlinks are listed, not followed.',
  request: {
    params: sandboxParams,
    query: callerQuery.extend({
      resolveSymlinks,
      depth: z.coerce
        .number()
        .pipe(z.int().min(1).max(32, 'depth is at most 32'))
        .default(1)
        .openapi({ type: 'integer', minimum: 1, maximum: 32, description: '1: the directory’s own entries.' }),
    }),
  },
  responses: {
    200: {
      description: 'Its entries.',
      ...jsonContent(z.object({ entries: z.array(fileEntry), truncated: z.boolean() })),
    },
    ...errorResponses([404, 409, 410]),
  },
});

const statRoute = createRoute({
  method: 'get',
  path: `${base}/stat`,
  operationId: 'statFile',
  tags,
  summary: 'Read what is known of a path',
  request: {
    params: sandboxParams,
    query: callerQuery.extend({ followSymlinks: flag('Describe what a symlink points to.'), resolveSymlinks }),
  },
  responses: { 200: { description: 'The entry.', ...jsonContent(entryAnswer) }, ...errorResponses([404, 409, 410]) },
});

const existsRoute = createRoute({
  method: 'get',
  path: `${base}/exists`,
  operationId: 'fileExists',
  tags,
  summary: 'Ask whether a path exists',
  request: { params: sandboxParams, query: callerQuery },
  responses: {
    200: { description: 'Whether it does.', ...jsonContent(z.object({ exists: z.boolean() })) },
    ...errorResponses([404, 409, 410]),
  },
});

const mkdirRoute = createRoute({
  method: 'post',
  path: `${base}/mkdir`,
  operationId: 'makeDirectory',
  tags,
  summary: 'Make a directory and its parents',
  description:
    'A directory that is there already is fine (`created: false`); a file in its place is 409 `file_exists`.',
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({ path: sandboxPath, ...callerFields, mode: fileModeInput.optional() })
        .openapi('MakeDirectoryRequest'),
    ),
  },
  responses: {
    200: { description: 'It is there.', ...jsonContent(entryAnswer.extend({ created: z.boolean() })) },
    ...errorResponses([404, 409, 410, 507]),
  },
});

const relocation = {
  source: sandboxPath,
  destination: sandboxPath,
  ...callerFields,
  overwrite: z.boolean().default(false).openapi({ description: 'Replace a file at the destination. Else 409.' }),
};

const moveRoute = createRoute({
  method: 'post',
  path: `${base}/move`,
  operationId: 'moveFile',
  tags,
  summary: 'Move or rename',
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          ...relocation,
          parents: z.boolean().default(false).openapi({ description: 'Make directories that are missing above it.' }),
        })
        .openapi('MoveRequest'),
    ),
  },
  responses: { 200: { description: 'Moved.', ...jsonContent(entryAnswer) }, ...errorResponses([404, 409, 410, 507]) },
});

const copyRoute = createRoute({
  method: 'post',
  path: `${base}/copy`,
  operationId: 'copyFile',
  tags,
  summary: 'Copy',
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          ...relocation,
          recursive: z.boolean().default(false).openapi({ description: 'Needed for a directory.' }),
        })
        .openapi('CopyRequest'),
    ),
  },
  responses: { 200: { description: 'Copied.', ...jsonContent(entryAnswer) }, ...errorResponses([404, 409, 410, 507]) },
});

const removeRoute = createRoute({
  method: 'delete',
  path: base,
  operationId: 'removeFile',
  tags,
  summary: 'Remove',
  description: 'What is not there is fine (`removed: false`). A symlink is removed, not what it points to.',
  request: {
    params: sandboxParams,
    query: callerQuery.extend({ recursive: flag('Needed for a directory that is not empty.') }),
  },
  responses: {
    200: { description: 'It is gone.', ...jsonContent(z.object({ removed: z.boolean() })) },
    ...errorResponses([404, 409, 410]),
  },
});

const watchRoute = createRoute({
  method: 'get',
  path: `${base}/watch`,
  operationId: 'watchFiles',
  tags,
  summary: 'Watch a path for changes',
  description: `Server-sent events: \`ready\` once changes are seen; \`change\` {kind, path}, kind being create, write, remove, rename or chmod;
\`lagged\` {droppedEvents} when this reader was too slow: look again; \`error\` {code, message}. At most 64 watches a sandbox. A file that is
written through this API shows as create (where there was none), chmod and write, in this order. With includeEntries a create, chmod or write has
the \`entry\` that was there when it was seen.`,
  request: {
    params: sandboxParams,
    query: callerQuery.extend({
      recursive: flag('Directories below it too.'),
      includeEntries: flag('Tell with each change what is there.'),
    }),
  },
  responses: {
    200: { description: 'Changes, until the client goes.', content: { 'text/event-stream': { schema: z.string() } } },
    ...errorResponses([404, 409, 410, 502]),
  },
});

const composeRoute = createRoute({
  method: 'post',
  path: `${base}/compose`,
  operationId: 'composeFile',
  tags,
  summary: 'Join files into one',
  description:
    'The sources’ bytes, one after the other, replace the destination at once; then the sources are removed.',
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          sources: z.array(sandboxPath).min(1).max(1000, 'sources are at most 1000'),
          destination: sandboxPath,
          ...callerFields,
        })
        .openapi('ComposeRequest'),
    ),
  },
  responses: {
    200: { description: 'Joined.', ...jsonContent(entryAnswer.extend({ writtenBytes: z.int().min(0) })) },
    ...errorResponses([404, 409, 410, 507]),
  },
});

export const fileRoutes = {
  list: listRoute,
  stat: statRoute,
  exists: existsRoute,
  mkdir: mkdirRoute,
  move: moveRoute,
  copy: copyRoute,
  compose: composeRoute,
  remove: removeRoute,
  watch: watchRoute,
};
