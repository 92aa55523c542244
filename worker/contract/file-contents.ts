import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, jsonContent, sandboxParams } from './common.ts';
import { sandboxPath, userName } from './execution.ts';
import { callerQuery, fileEntry, fileModeInput, pathQuery, userField } from './files.ts';

/** Routes that carry bytes: files whole, in parts, and as archives. */
const base = '/v1/sandboxes/{sandboxId}/files';
const tags = ['files'];

export const uploadBounds = { partBytes: 64 * 1024 * 1024, parts: 10_000 } as const;

const bytes = (type: string) => ({ [type]: { schema: { type: 'string' as const, format: 'binary' } } });
const bytesBody = (type: string) => ({ required: true as const, content: bytes(type) });

const writtenFields = { writtenBytes: z.int().min(0).openapi({ example: 1024 }) };
const writtenFile = z.object({ entry: fileEntry, ...writtenFields }).openapi('WrittenFile');

const readRoute = createRoute({
  method: 'get',
  path: `${base}/content`,
  operationId: 'readFile',
  tags,
  summary: 'Read a file',
  description: `Its bytes, streamed. \`Range: bytes=…\` with one range is answered by 206 (several: the whole file). HEAD gives the headers alone. An
answer that ends before Content-Length was cut: ask for the rest by Range, with If-Range and the ETag.`,
  request: {
    params: sandboxParams,
    query: callerQuery,
    headers: z.object({
      range: z.string().max(256).optional().openapi({ example: 'bytes=0-1023' }),
      'if-range': z.string().max(256).optional().openapi({ description: 'An ETag: if it has changed, all is sent.' }),
    }),
  },
  responses: {
    200: { description: 'The file.', content: bytes('application/octet-stream') },
    206: { description: 'The range.', content: bytes('application/octet-stream') },
    ...errorResponses([404, 409, 410, 416, 502]),
  },
});

const writeRoute = createRoute({
  method: 'put',
  path: `${base}/content`,
  operationId: 'writeFile',
  tags,
  summary: 'Write a file',
  description: `The request's body is the file, whatever its Content-Type, with a Content-Length or chunked, of any size. Missing directories are
made. The file is replaced at once when all has arrived; a request that is cut leaves it as it was. Headers \`X-Metadata-<key>\` (printable
ASCII, a key of at most 246 bytes, at most 4,096 in all) are kept with the file: they are its \`metadata\`, all of it.`,
  request: {
    params: sandboxParams,
    query: callerQuery.extend({ mode: fileModeInput.optional() }),
    body: bytesBody('application/octet-stream'),
  },
  responses: {
    200: { description: 'Written.', ...jsonContent(writtenFile) },
    ...errorResponses([404, 409, 410, 413, 502, 507]),
  },
});

const readArchiveRoute = createRoute({
  method: 'get',
  path: `${base}/archive`,
  operationId: 'readArchive',
  tags,
  summary: 'Read a directory as a tar',
  description: 'Names in it are relative to the directory. A stream that was cut fails; it never just ends.',
  request: { params: sandboxParams, query: pathQuery },
  responses: {
    200: { description: 'The archive.', content: bytes('application/x-tar') },
    ...errorResponses([404, 409, 410, 502]),
  },
});

const writeArchiveRoute = createRoute({
  method: 'put',
  path: `${base}/archive`,
  operationId: 'writeArchive',
  tags,
  summary: 'Unpack a tar into a directory',
  description: `The body is an uncompressed tar. The directory is made if it is missing. Regular files, directories and symlinks that stay inside it
are taken; an archive with anything else, or with a path that leads out, is refused.`,
  request: { params: sandboxParams, query: pathQuery, body: bytesBody('application/x-tar') },
  responses: {
    200: { description: 'Unpacked; the bytes of the files in it.', ...jsonContent(z.object(writtenFields)) },
    ...errorResponses([404, 409, 410, 413, 502, 507]),
  },
});

const uploadParams = sandboxParams.extend({
  uploadId: z
    .string()
    .regex(/^[0-9a-f]{32}$/, 'an upload id is 32 lowercase hexadecimal digits')
    .openapi({ param: { name: 'uploadId', in: 'path' }, example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
});
const userQuery = z.strictObject({
  user: userName.default('user').openapi({ description: 'The same as when the upload began.' }),
});

const createUploadRoute = createRoute({
  method: 'post',
  path: `${base}/uploads`,
  operationId: 'createUpload',
  tags,
  summary: 'Begin an upload in parts',
  description: `For files over what one request may carry, and to go on after a cut. Parts may come in any order, at once and again. All but the last
have partBytes. The target is replaced at complete.`,
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          path: sandboxPath,
          user: userField,
          mode: fileModeInput.optional(),
          partBytes: z
            .int()
            .min(1)
            .max(uploadBounds.partBytes, 'partBytes is at most 67108864 (64 MiB)')
            .default(16 * 1024 * 1024)
            .openapi({ description: 'The size of each part but the last.' }),
        })
        .openapi('CreateUploadRequest'),
    ),
  },
  responses: {
    201: {
      description: 'Begun.',
      ...jsonContent(z.object({ uploadId: z.string(), partBytes: z.int() }).openapi('Upload')),
    },
    ...errorResponses([404, 409, 410, 507]),
  },
});

const writePartRoute = createRoute({
  method: 'put',
  path: `${base}/uploads/{uploadId}/parts/{part}`,
  operationId: 'writePart',
  tags,
  summary: 'Write a part',
  request: {
    params: uploadParams.extend({
      part: z
        .string()
        .regex(/^\d{1,5}$/, 'a part is a whole number')
        .transform(Number)
        .pipe(z.int().min(1, 'parts count from 1').max(uploadBounds.parts, 'an upload has at most 10000 parts'))
        .openapi({ type: 'integer', minimum: 1, maximum: uploadBounds.parts, param: { name: 'part', in: 'path' } }),
    }),
    query: userQuery,
    body: bytesBody('application/octet-stream'),
  },
  responses: {
    200: { description: 'Written.', ...jsonContent(z.object(writtenFields)) },
    ...errorResponses([404, 409, 410, 413, 502, 507]),
  },
});

const completeUploadRoute = createRoute({
  method: 'post',
  path: `${base}/uploads/{uploadId}/complete`,
  operationId: 'completeUpload',
  tags,
  summary: 'Put the uploaded file in its place',
  request: {
    params: uploadParams,
    query: userQuery,
    body: jsonBody(
      z
        .strictObject({
          parts: z.int().min(1).max(uploadBounds.parts).openapi({ description: 'How many parts there are.' }),
        })
        .openapi('CompleteUploadRequest'),
    ),
  },
  responses: {
    200: { description: 'In its place.', ...jsonContent(z.object({ entry: fileEntry })) },
    ...errorResponses([404, 409, 410, 507]),
  },
});

const abortUploadRoute = createRoute({
  method: 'delete',
  path: `${base}/uploads/{uploadId}`,
  operationId: 'abortUpload',
  tags,
  summary: 'Give an upload up',
  request: { params: uploadParams, query: userQuery },
  responses: { 204: { description: 'Its parts are removed.' }, ...errorResponses([404, 409, 410]) },
});

export const fileContentRoutes = {
  read: readRoute,
  write: writeRoute,
  readArchive: readArchiveRoute,
  writeArchive: writeArchiveRoute,
};
export const uploadRoutes = {
  create: createUploadRoute,
  writePart: writePartRoute,
  complete: completeUploadRoute,
  abort: abortUploadRoute,
};
