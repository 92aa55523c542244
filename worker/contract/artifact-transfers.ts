import { createRoute, z } from '@hono/zod-openapi';
import { diskParams, errorResponses, jsonBody, jsonContent } from './common.ts';
import { sandboxPath } from './execution.ts';
import { userField } from './files.ts';

/** Bytes between a disk and a sandbox, without the client. */
const base = '/v1/disks/{diskId}/artifacts';
const tags = ['artifacts'];

/** Its rules are the disk's own. */
const artifactPath = z.string().max(4096).openapi({
  description: 'On the disk. With a slash at its end it is a directory: all that lies in it is copied.',
  example: '/reports/july.csv',
});

const sandboxId = z.string().min(1).max(256).openapi({ example: '00a1b2c3d4e54f60a7b8c9d0e1f2a3b4' });

const toSandboxRoute = createRoute({
  method: 'post',
  path: `${base}/to-sandbox`,
  operationId: 'copyToSandbox',
  tags,
  summary: 'Copy an artifact, or a directory of them, into a sandbox',
  description: `A file takes the place of one that is there at once when all has arrived. A directory's files (at most 1,000) are put into
\`destination\`, which is made if it is missing; what came whole before a failure stays.`,
  request: {
    params: diskParams,
    body: jsonBody(
      z
        .strictObject({ path: artifactPath, sandboxId, destination: sandboxPath, user: userField })
        .openapi('CopyToSandboxRequest'),
    ),
  },
  responses: {
    200: {
      description: 'Copied.',
      ...jsonContent(z.object({ filesCount: z.int().min(1), writtenBytes: z.int().min(0) }).openapi('CopiedToSandbox')),
    },
    ...errorResponses([404, 409, 410, 413, 502, 507]),
  },
});

const fromSandboxRoute = createRoute({
  method: 'post',
  path: `${base}/from-sandbox`,
  operationId: 'copyFromSandbox',
  tags,
  summary: 'Copy a file, or a directory, from a sandbox to a disk',
  description: `All of it appears at once, or nothing does; artifacts that are overwritten keep their metadata. One file has at most 5 GiB less
5 MiB, a directory at most 1,000 files; symlinks, and whatever else is neither a file nor a directory, are skipped.`,
  request: {
    params: diskParams,
    body: jsonBody(
      z
        .strictObject({
          sandboxId,
          source: sandboxPath.openapi({ description: 'A file; a directory where `path` ends with a slash.' }),
          path: artifactPath,
          user: userField,
        })
        .openapi('CopyFromSandboxRequest'),
    ),
  },
  responses: {
    200: {
      description: 'Copied.',
      ...jsonContent(
        z
          .object({ filesCount: z.int().min(0), contentBytes: z.int().min(0), skippedCount: z.int().min(0) })
          .openapi('CopiedFromSandbox'),
      ),
    },
    ...errorResponses([404, 409, 410, 413, 502]),
  },
});

export const artifactTransferRoutes = { toSandbox: toSandboxRoute, fromSandbox: fromSandboxRoute };
