import { createRoute, z } from '@hono/zod-openapi';
import { artifactView } from './artifact-view.ts';
import { ifMatch, mediaType } from './artifacts.ts';
import { diskParams, errorResponses, jsonBody, jsonContent, timestamp } from './common.ts';
import { metadataInput } from './disks.ts';

/** Large artifacts: in parts through the API, or by presigned URLs straight to the object store. */
const base = '/v1/disks/{diskId}/artifacts/uploads';
const tags = ['artifacts'];

const bounds = {
  partBytesMin: 5 * 1024 * 1024,
  partBytesMax: 64 * 1024 * 1024,
  parts: 10_000,
  urls: 100,
  urlSeconds: 3600,
} as const;

/** Any string gets as far as the lookup, so that a malformed id is answered as a missing one: 404. */
const params = diskParams.extend({
  uploadId: z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: 'uploadId', in: 'path' }, example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
});

const partNumber = z
  .int()
  .min(1, 'parts count from 1')
  .max(bounds.parts, `an upload has at most ${bounds.parts} parts`);

const part = z
  .object({
    part: z.int(),
    sizeBytes: z.int(),
    sha256: z.string().openapi({ description: 'Of its bytes, hex.' }),
  })
  .openapi('UploadPart');

const uploadView = z
  .object({
    uploadId: z.string(),
    path: z.string().openapi({ example: '/data/large.bin' }),
    way: z.enum(['relayed', 'direct']),
    state: z.enum(['open', 'completed']),
    partBytes: z.int().openapi({ description: 'The size of each part but the last.' }),
    parts: z.array(part).openapi({
      description: 'Those that have arrived whole, in order. Of a direct upload none are known here.',
    }),
    createdAt: timestamp,
    expiresAt: timestamp,
  })
  .openapi('ArtifactUpload');

const createUploadRoute = createRoute({
  method: 'post',
  path: base,
  operationId: 'createArtifactUpload',
  tags,
  summary: 'Begin an upload in parts',
  description: `For large artifacts, and to go on after a cut. \`relayed\`: parts are written to …/parts/{part}, in any order, at once, and again.
\`direct\`: parts go straight to the object store by the URLs of …/urls. Nothing is to be seen of it before complete. It expires after a day; a tenant has at
most 100 open.`,
  request: {
    params: diskParams,
    body: jsonBody(
      z
        .strictObject({
          path: z.string().min(1).max(4096).openapi({ description: 'The artifact.', example: '/data/large.bin' }),
          way: z.enum(['relayed', 'direct']).default('relayed'),
          partBytes: z
            .int()
            .min(bounds.partBytesMin, 'partBytes is at least 5242880 (5 MiB)')
            .max(bounds.partBytesMax, 'partBytes is at most 67108864 (64 MiB)')
            .default(16 * 1024 * 1024)
            .openapi({ description: 'The size of each part but the last.' }),
          contentType: z.string().max(255).regex(mediaType, 'contentType is a media type').optional().openapi({
            description: 'Absent: told from the content and the name.',
            example: 'application/x-tar',
          }),
          metadata: metadataInput.optional(),
        })
        .openapi('CreateArtifactUpload'),
    ),
  },
  responses: { 201: { description: 'Begun.', ...jsonContent(uploadView) }, ...errorResponses([404, 413, 501]) },
});

const getUploadRoute = createRoute({
  method: 'get',
  path: `${base}/{uploadId}`,
  operationId: 'getArtifactUpload',
  tags,
  summary: 'Read which parts have arrived',
  request: { params },
  responses: { 200: { description: 'The upload.', ...jsonContent(uploadView) }, ...errorResponses([404]) },
});

const writePartRoute = createRoute({
  method: 'put',
  path: `${base}/{uploadId}/parts/{part}`,
  operationId: 'writeArtifactPart',
  tags,
  summary: 'Write a part',
  description: `The last one written counts. A write that is cut leaves the part missing. Send a Content-Length: a part without one has at most 8 MiB.`,
  request: {
    params: params.extend({
      part: z
        .string()
        .regex(/^\d{1,5}$/, 'a part is a whole number')
        .transform(Number)
        .pipe(partNumber)
        .openapi({ type: 'integer', minimum: 1, maximum: bounds.parts, param: { name: 'part', in: 'path' } }),
    }),
    body: {
      required: true as const,
      content: { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } },
    },
  },
  responses: { 200: { description: 'Written.', ...jsonContent(part) }, ...errorResponses([404, 409, 413]) },
});

const createUrlsRoute = createRoute({
  method: 'post',
  path: `${base}/{uploadId}/urls`,
  operationId: 'createArtifactUploadUrls',
  tags,
  summary: 'Make URLs to send parts to',
  description: `Of a direct upload. PUT the bytes of a part to its URL, without a key and with a Content-Length of exactly \`sizeBytes\` (curl -T, or fetch with
a buffer; not a stream, nor chunks), and keep the answer's ETag header for complete. A part counts as stored from here on, with the most that was asked for,
whether it is sent or not, until the upload is completed, aborted or expires. Asked again there is another URL. Complete and abort end the URLs.`,
  request: {
    params,
    body: jsonBody(
      z
        .strictObject({
          parts: z
            .array(
              z.strictObject({
                part: partNumber,
                sizeBytes: z
                  .int()
                  .min(1, 'a part has at least one byte')
                  .max(bounds.partBytesMax, 'sizeBytes is at most 67108864 (64 MiB)')
                  .openapi({
                    description: "The upload's partBytes; of the last part what is left.",
                    example: 16777216,
                  }),
              }),
            )
            .min(1, 'at least one part')
            .max(bounds.urls, 'at most 100 parts at once'),
          expiresInSeconds: z.int().min(1).max(bounds.urlSeconds, 'at most an hour').default(bounds.urlSeconds),
        })
        .openapi('CreateArtifactUploadUrls'),
    ),
  },
  responses: {
    200: {
      description: 'One URL for each part.',
      ...jsonContent(
        z
          .object({
            urls: z.array(z.object({ part: z.int(), sizeBytes: z.int(), url: z.url() })),
            expiresAt: timestamp,
          })
          .openapi('ArtifactUploadUrls'),
      ),
    },
    ...errorResponses([404, 409, 413, 501]),
  },
});

const completeUploadRoute = createRoute({
  method: 'post',
  path: `${base}/{uploadId}/complete`,
  operationId: 'completeArtifactUpload',
  tags,
  summary: 'Make the parts an artifact',
  description: `It is there whole or not at all, and overwrites what is at its path. Asked again it answers the artifact as it is now. After 412 and 503 the upload
is as it was.`,
  request: {
    params,
    headers: z.object({ 'if-match': ifMatch, 'if-none-match': z.string().max(4096).optional() }),
    body: jsonBody(
      z
        .strictObject({
          parts: z
            .union([
              partNumber,
              z
                .array(z.strictObject({ part: partNumber, etag: z.string().min(1).max(256) }))
                .min(1)
                .max(bounds.parts),
            ])
            .openapi({
              description:
                'How many parts there are. Of a direct upload: each part, of those that have had a URL, with the ETag that the store answered.',
            }),
        })
        .openapi('CompleteArtifactUpload'),
    ),
  },
  responses: {
    200: { description: 'The artifact.', ...jsonContent(artifactView) },
    ...errorResponses([404, 409, 412, 413]),
  },
});

const abortUploadRoute = createRoute({
  method: 'delete',
  path: `${base}/{uploadId}`,
  operationId: 'abortArtifactUpload',
  tags,
  summary: 'Give an upload up',
  request: { params },
  responses: { 204: { description: 'Its parts are removed.' }, ...errorResponses([404, 409]) },
});

export const artifactUploadRoutes = {
  create: createUploadRoute,
  get: getUploadRoute,
  writePart: writePartRoute,
  createUrls: createUrlsRoute,
  complete: completeUploadRoute,
  abort: abortUploadRoute,
};
