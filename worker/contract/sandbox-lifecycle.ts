import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, jsonContent, optionalJsonBody, sandboxParams } from './common.ts';
import { base, egressInput, memory, one, sandboxView, tags, timeoutSeconds } from './sandboxes.ts';

export const setTimeoutRoute = createRoute({
  method: 'post',
  path: `${base}/{sandboxId}/timeout`,
  operationId: 'setSandboxTimeout',
  tags,
  summary: 'Set the timeout, counted from now',
  description: `Longer or shorter than before, or with \`onlyExtend\` never shorter. 0: its time is up, it ends or is paused as its onTimeout
says. Answers after the runner has applied it.`,
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          timeoutSeconds: z
            .int('timeoutSeconds is a whole number of seconds')
            .min(0, 'timeoutSeconds is at least 0')
            .max(365 * 86_400, 'timeoutSeconds is too large')
            .openapi({ description: "At most the tenant's limit.", example: 300 }),
          onlyExtend: z.boolean().default(false).openapi({ description: 'A deadline that is later stays as it is.' }),
        })
        .openapi('SetTimeout'),
    ),
  },
  responses: { 200: { description: 'Applied.', ...one }, ...errorResponses([404, 409, 410, 502]) },
});

const pausedView = sandboxView.extend(memory).openapi('PausedSandbox');

export const pauseSandboxRoute = createRoute({
  method: 'post',
  path: `${base}/{sandboxId}/pause`,
  operationId: 'pauseSandbox',
  tags,
  summary: 'Pause a running sandbox',
  description: `Nothing in it runs until it is resumed, and its timeout stands still. Without \`memory\` its processes are ended and only its
files are kept; it begins anew with them, under the same id and with its environment, when it is resumed. The answer says what became of
the memory.`,
  request: {
    params: sandboxParams,
    body: optionalJsonBody(
      z
        .strictObject({
          memory: z
            .boolean()
            .optional()
            .openapi({ description: 'Whether processes go on when it is resumed. Absent: true.' }),
        })
        .openapi('PauseSandbox'),
    ),
  },
  responses: {
    200: { description: 'Paused.', ...jsonContent(pausedView) },
    ...errorResponses([404, 409, 410, 413, 502]),
  },
});

const resumesMemory = z.boolean().optional().openapi({
  description:
    'False: of a paused one, processes that its pause has kept are ended; it begins anew with its files. Absent: true.',
});

export const resumeSandboxRoute = createRoute({
  method: 'post',
  path: `${base}/{sandboxId}/resume`,
  operationId: 'resumeSandbox',
  tags,
  summary: 'Resume a paused sandbox',
  description: `Where its memory was given back it has to fit again: into the tenant's limit (429) and into its node (503). It stays paused
otherwise.`,
  request: {
    params: sandboxParams,
    body: optionalJsonBody(
      z
        .strictObject({
          timeoutSeconds: timeoutSeconds.optional().openapi({ description: 'From now. Absent: what it had.' }),
          memory: resumesMemory,
        })
        .openapi('ResumeSandbox'),
    ),
  },
  responses: { 200: { description: 'It runs.', ...one }, ...errorResponses([404, 409, 410, 502]) },
});

export const connectSandboxRoute = createRoute({
  method: 'post',
  path: `${base}/{sandboxId}/connect`,
  operationId: 'connectSandbox',
  tags,
  summary: 'Make sure that it runs, for some time at least',
  description: `A running one keeps a deadline that is later; a paused one is resumed and has timeoutSeconds from then. One that is being made,
paused or resumed is waited for, up to 30 seconds.`,
  request: {
    params: sandboxParams,
    body: jsonBody(
      z.strictObject({ timeoutSeconds: timeoutSeconds.default(300), memory: resumesMemory }).openapi('ConnectSandbox'),
    ),
  },
  responses: {
    200: {
      description: 'It runs.',
      ...jsonContent(
        sandboxView
          .extend({ resumed: z.boolean().openapi({ description: 'It was paused.' }) })
          .openapi('ConnectedSandbox'),
      ),
    },
    ...errorResponses([404, 409, 410, 413, 502]),
  },
});

export const changeNetworkRoute = createRoute({
  method: 'put',
  path: `${base}/{sandboxId}/network`,
  operationId: 'changeSandboxNetwork',
  tags,
  summary: 'Replace the egress rules',
  description: `Of a sandbox with the network on, running or paused; what is left out is cleared. Answers once they are in force: connections that are
open to what is denied from now on carry nothing more, in neither direction. A paused one goes on with them.`,
  request: { params: sandboxParams, body: jsonBody(egressInput) },
  responses: { 200: { description: 'In force.', ...one }, ...errorResponses([404, 409, 410, 413, 502]) },
});

export const sandboxLifecycleRoutes = [
  setTimeoutRoute,
  pauseSandboxRoute,
  resumeSandboxRoute,
  connectSandboxRoute,
  changeNetworkRoute,
];
