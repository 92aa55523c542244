import { createRoute, z } from '@hono/zod-openapi';
import { artifactView } from './artifact-view.ts';
import { diskParams, errorResponses, jsonBody, jsonContent, nextCursor } from './common.ts';
import { metadataInput } from './disks.ts';

/** A disk's files: what is known of them, and where they are. Their bytes: artifact-contents.ts. */
const base = '/v1/disks/{diskId}/artifacts';
const tags = ['artifacts'];

/** The rules of a path are the core's: an upper bound for what is looked at. */
const path = z.string().min(1).max(4096);

const artifactPath = path.openapi({
  description:
    'Begins with a slash and ends with the name; at most 1,024 bytes. Nothing is normalised; `.` and `..` are refused.',
  example: '/reports/july.csv',
});
/** With its parameters, in ASCII. */
export const mediaType = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+ *(;[ -~]*)?$/;

export const artifactQuery = z.strictObject({ path: artifactPath });

export const ifMatch = z.string().max(4096).optional().openapi({
  description: 'ETags in their quotes, or `*`: only if one of them is what is there; else 412.',
  example: '"5f2c0a1b9e8d7c6b5a4f3e2d1c0b9a88"',
});

const one = jsonContent(artifactView);

export const listDirectoryRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listDirectory',
  tags,
  summary: 'List a directory',
  description: `What lies directly in it: first the directories, then the artifacts by name, \`limit\` of both together on a page. A directory is there as long
as something lies in it or below, so an unknown one is empty.`,
  request: {
    params: diskParams,
    query: z.strictObject({
      path: path.default('/').openapi({ description: 'Begins and ends with a slash.', example: '/reports/' }),
      cursor: z.string().max(8192).optional().openapi({ description: 'nextCursor of the page before.' }),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
  },
  responses: {
    200: {
      description: 'The directory.',
      ...jsonContent(
        z
          .object({
            directories: z.array(z.string()).openapi({ description: 'Names, without slashes.', example: ['2025'] }),
            artifacts: z.array(artifactView),
            nextCursor,
          })
          .openapi('Directory'),
      ),
    },
    ...errorResponses([404]),
  },
});

export const statArtifactRoute = createRoute({
  method: 'get',
  path: `${base}/stat`,
  operationId: 'statArtifact',
  tags,
  summary: 'Read what is known of an artifact',
  request: { params: diskParams, query: artifactQuery },
  responses: { 200: { description: 'The artifact.', ...one }, ...errorResponses([404]) },
});

export const changeArtifactRoute = createRoute({
  method: 'patch',
  path: base,
  operationId: 'changeArtifact',
  tags,
  summary: "Change an artifact's metadata or content type",
  description: 'What is absent stays. Metadata is replaced whole. The ETag changes.',
  request: {
    params: diskParams,
    query: artifactQuery,
    headers: z.object({ 'if-match': ifMatch }),
    body: jsonBody(
      z
        .strictObject({
          metadata: metadataInput.optional(),
          contentType: z
            .string()
            .max(255)
            .regex(mediaType, 'contentType is a media type')
            .optional()
            .openapi({ example: 'text/csv' }),
        })
        .openapi('ChangeArtifact'),
    ),
  },
  responses: { 200: { description: 'The artifact as it is now.', ...one }, ...errorResponses([404, 409, 412, 413]) },
});

const counted = (description: string) => ({
  description,
  ...jsonContent(z.object({ artifactsCount: z.int().min(1) }).openapi('ArtifactsCount')),
});

export const removeArtifactsRoute = createRoute({
  method: 'delete',
  path: base,
  operationId: 'removeArtifacts',
  tags,
  summary: 'Remove an artifact, or a directory',
  description: `A path that ends with a slash is a directory: with \`recursive=true\` all that lies in it and below goes, up to 20,000 artifacts at once and
more in steps.`,
  request: {
    params: diskParams,
    query: z.strictObject({
      path: path.openapi({ example: '/reports/july.csv' }),
      recursive: z
        .enum(['true', 'false'], 'is true or false')
        .default('false')
        .transform((text) => text === 'true')
        .openapi({ type: 'boolean', default: false }),
    }),
    headers: z.object({ 'if-match': ifMatch.openapi({ description: 'For an artifact, not for a directory.' }) }),
  },
  responses: { 200: counted('How many are gone.'), ...errorResponses([404, 409, 412]) },
});

const relocationBody = z
  .strictObject({
    source: path.openapi({
      description: 'An artifact, or (with a slash at its end) a directory.',
      example: '/reports/',
    }),
    destination: path.openapi({
      description: 'Of the same kind, and not within the source.',
      example: '/archive/2026/',
    }),
    overwrite: z.boolean().default(false).openapi({ description: 'Replace artifacts that are there. Others stay.' }),
  })
  .openapi('Relocation');

const relocationOf = (verb: 'move' | 'copy', summary: string, description: string) =>
  createRoute({
    method: 'post',
    path: `${base}/${verb}`,
    operationId: `${verb}Artifacts`,
    tags,
    summary,
    description: `${description} All at once or nothing; at most 10,000 artifacts. 409 if something is at a destination, unless \`overwrite\`.`,
    request: { params: diskParams, body: jsonBody(relocationBody) },
    responses: { 200: counted('How many there were.'), ...errorResponses([404, 409, 413]) },
  });

export const moveArtifactsRoute = relocationOf(
  'move',
  'Move an artifact, or a directory',
  'What is moved keeps its ETag, its metadata and its public URLs.',
);
export const copyArtifactsRoute = relocationOf(
  'copy',
  'Copy an artifact, or a directory',
  'With content, type and metadata. The content is shared, so a copy takes no storage.',
);

export const artifactRoutes = [
  listDirectoryRoute,
  statArtifactRoute,
  changeArtifactRoute,
  removeArtifactsRoute,
  moveArtifactsRoute,
  copyArtifactsRoute,
];
