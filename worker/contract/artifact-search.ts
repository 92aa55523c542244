import { createRoute, z } from '@hono/zod-openapi';
import { artifactView } from './artifact-view.ts';
import { diskParams, errorResponses, jsonContent } from './common.ts';

const base = '/v1/disks/{diskId}/artifacts';
const tags = ['artifacts'];

const pattern = z.string().min(1, 'pattern must not be empty').max(1024);
const limit = z.coerce
  .number()
  .pipe(z.int().min(1).max(1000, 'limit is at most 1000'))
  .default(100)
  .openapi({ type: 'integer', minimum: 1, maximum: 1000, default: 100 });
const flag = z
  .enum(['true', 'false'], 'is true or false')
  .default('false')
  .transform((text) => text === 'true')
  .openapi({ type: 'boolean', default: false });

const globRoute = createRoute({
  method: 'get',
  path: `${base}/glob`,
  operationId: 'globArtifacts',
  tags,
  summary: 'Find artifacts by their paths',
  description: `The first \`limit\` artifacts whose whole path fits, sorted by directory and name. Case counts. Only what begins as the pattern does is looked
at, so a pattern that begins with a directory is the quicker one; past 200,000 artifacts or 10 s the request is refused.`,
  request: {
    params: diskParams,
    query: z.strictObject({
      pattern: pattern.openapi({
        description: `\`*\` and \`?\` within a name, \`**\` across directories, \`[a-z]\`, \`[!a-z]\`, \`{a,b}\`; \`\\\` takes the next character as it is. It
begins at the root, with or without \`/\`.`,
        example: '/reports/**/*.csv',
      }),
      limit,
    }),
  },
  responses: {
    200: { description: 'What fits.', ...jsonContent(z.object({ artifacts: z.array(artifactView) })) },
    ...errorResponses([404, 413, 504]),
  },
});

const match = z
  .object({
    artifact: artifactView,
    lines: z
      .array(z.object({ line: z.int().min(1), text: z.string() }))
      .openapi({ description: 'The first 100 lines that match, each cut to 500 characters.' }),
  })
  .openapi('ArtifactMatch');

const grepRoute = createRoute({
  method: 'get',
  path: `${base}/grep`,
  operationId: 'grepArtifacts',
  tags,
  summary: 'Find artifacts by what is in them',
  description: `Looks into text: the types text/*, application/json and application/x-* (but for archives and programs). The answer is sorted by directory and
name. A request reads at most 128 MiB (equal content once) for 10 s; \`truncated\` says that there may be more than it found.`,
  request: {
    params: diskParams,
    query: z.strictObject({
      pattern: pattern.openapi({
        description:
          'A regular expression in RE2’s syntax (no back-references, no look-around); it matches within a line.',
        example: 'TODO|FIXME',
      }),
      ignoreCase: flag,
      path: z
        .string()
        .max(1024)
        .default('/')
        .openapi({ description: 'A directory: what lies in it and below.', example: '/src/' }),
      limit,
    }),
  },
  responses: {
    200: {
      description: 'Where it was found.',
      ...jsonContent(
        z
          .object({
            matches: z.array(match),
            skipped: z.array(z.string()).openapi({
              description:
                'Paths of texts that were not searched: larger than 4 MiB, or too large for so slow a pattern. The first 100.',
            }),
            truncated: z.boolean(),
          })
          .openapi('ArtifactMatches'),
      ),
    },
    ...errorResponses([404, 413]),
  },
});

export const artifactSearchRoutes = { glob: globRoute, grep: grepRoute };
