import { createRoute, z } from '@hono/zod-openapi';
import { cursorQuery, errorResponses, jsonBody, jsonContent, nextCursor, sandboxParams, timestamp } from './common.ts';
import { envInput } from './execution.ts';

export const tags = ['Sandboxes'];
export const base = '/v1/sandboxes';

export const sandboxStates = ['creating', 'running', 'pausing', 'paused', 'resuming', 'ending', 'ended'] as const;
const endReasons = ['killed', 'timeout', 'failed', 'oom', 'runner_lost', 'evicted'] as const;

const metadataKey = z
  .string()
  .min(1, 'a metadata key is not empty')
  .max(128, 'a metadata key has at most 128 characters');
const metadataValue = z.string().max(2048, 'a metadata value has at most 2048 characters');
const pairsCount = 64;
const fewPairs = (metadata: object): boolean => Object.keys(metadata).length <= pairsCount;
export const metadataInput = z
  .record(metadataKey, metadataValue)
  .refine(fewPairs, `metadata has at most ${pairsCount} pairs`)
  .openapi({ description: 'Your own labels: at most 64 pairs.', example: { purpose: 'demo' } });

export const timeoutSeconds = z
  .int('timeoutSeconds is a whole number of seconds')
  .min(1, 'timeoutSeconds is at least 1')
  .max(365 * 86_400, 'timeoutSeconds is too large')
  .openapi({ description: "At most the tenant's limit.", example: 300 });

/** Of a pause. null where it is not paused. */
export const memory = {
  memoryKept: z.boolean().openapi({ description: 'Processes go on where they were.' }),
  memoryFreed: z.boolean().openapi({ description: 'Their memory was given back to the node.' }),
};
const egressEntries = z.array(z.string().max(64)).max(64, 'at most 64 addresses or networks').default([]);
/** Kept as it was given. */
export const egressInput = z
  .strictObject({
    allow: egressEntries.openapi({ description: 'Outranks `deny`.', example: ['203.0.113.7'] }),
    deny: egressEntries.openapi({ description: 'Everything: `0.0.0.0/0` and `::/0`.', example: ['0.0.0.0/0'] }),
  })
  .openapi('EgressRules', {
    description: `Where it may go: IP addresses and networks in CIDR form. Without any: to every public address. Private ranges, metadata
services and the node stay denied whatever is allowed, and the one resolver stays reachable. No IPv6 leaves a sandbox.`,
  });
const egressView = z.object({ allow: z.array(z.string()), deny: z.array(z.string()) });

export const sandboxView = z
  .object({
    id: z.string(),
    template: z.string(),
    snapshot: z.string().nullable().openapi({ description: 'What it was made from, if from a snapshot.' }),
    state: z.enum(sandboxStates),
    endReason: z.enum(endReasons).nullable(),
    timeoutSeconds: z.int(),
    timeoutMode: z.enum(['fixed', 'idle']),
    expiresAt: timestamp.nullable().openapi({
      description:
        "When its runner will end it, as last recorded; it may be later by then. While paused: the end of the pause, which may last as long as the tenant's longest timeout. null before it runs and after its end.",
    }),
    metadata: z.record(z.string(), z.string()),
    cpu: z.number(),
    memoryMiB: z.int(),
    network: z.enum(['on', 'off']),
    egress: egressView,
    onTimeout: z.enum(['kill', 'pause']),
    keepMemory: z.boolean(),
    memoryKept: memory.memoryKept.nullable(),
    memoryFreed: memory.memoryFreed.nullable(),
    autoResume: z.boolean(),
    publicPorts: z.boolean(),
    createdAt: timestamp,
    startedAt: timestamp.nullable(),
    pausedAt: timestamp.nullable(),
    endedAt: timestamp.nullable(),
  })
  .openapi('Sandbox');

const createBody = z
  .strictObject({
    template: z.string().min(1).max(128).optional().openapi({ description: 'Absent: base.' }),
    snapshot: z.string().min(1).max(256).optional().openapi({
      description: "A snapshot's id, instead of a template: it begins with the files that the snapshot has.",
    }),
    timeoutSeconds: timeoutSeconds.default(300),
    timeoutMode: z.enum(['fixed', 'idle']).default('fixed').openapi({
      description: '`fixed` counts from the start, `idle` from the last exec, process or file request.',
    }),
    metadata: metadataInput.default({}),
    env: envInput.default({}).openapi({ description: 'The environment of everything that runs in it.' }),
    cpu: z.number().min(0.1, 'cpu is at least 0.1').max(64, 'cpu is at most 64').default(2).openapi({
      description: 'vCPUs, a limit.',
    }),
    memoryMiB: z
      .int()
      .min(64, 'memoryMiB is at least 64')
      .max(1024 * 1024, 'memoryMiB is at most 1048576')
      .default(512)
      .openapi({ description: 'A limit.' }),
    network: z
      .enum(['on', 'off'])
      .optional()
      .openapi({ description: 'Absent: on, or off where no runner has its network rules in place.' }),
    egress: egressInput.default({ allow: [], deny: [] }),
    onTimeout: z.enum(['kill', 'pause']).default('kill').openapi({ description: 'What happens when its time is up.' }),
    keepMemory: z.boolean().default(true).openapi({
      description: 'Of a pause at the timeout: whether processes go on after it, or only the files are kept.',
    }),
    autoResume: z.boolean().default(false).openapi({ description: 'Traffic to a port wakes it while it is paused.' }),
    publicPorts: z.boolean().default(true).openapi({
      description: "Whether its ports are reached without the sandbox's traffic token.",
    }),
  })
  .refine(({ template, snapshot }) => template === undefined || snapshot === undefined, {
    message: 'name a template or a snapshot, not both',
    path: ['snapshot'],
  })
  .openapi('CreateSandbox');

export const one = { ...jsonContent(sandboxView) };

export const createSandboxRoute = createRoute({
  method: 'post',
  path: base,
  operationId: 'createSandbox',
  tags,
  summary: 'Create a sandbox',
  description: `Answers once it runs. With an Idempotency-Key a repeated request answers the sandbox that the first one made (header
\`idempotency-replayed: true\`), for as long as that sandbox is on record; a create that failed frees its key.`,
  request: {
    headers: z.object({
      'idempotency-key': z
        .string()
        .regex(/^[\x21-\x7e]{1,255}$/, 'Idempotency-Key is 1 to 255 printable characters without spaces')
        .optional(),
    }),
    body: jsonBody(createBody),
  },
  responses: { 201: { description: 'It runs.', ...one }, ...errorResponses([404, 413, 422, 501, 502]) },
});

const metadataPair = z
  .string()
  .max(128 + 1 + 2048)
  .regex(/^[^=]+=/, 'a metadata filter is key=value');

export const listSandboxesRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listSandboxes',
  tags,
  summary: 'List sandboxes',
  description: 'Newest first, unless `order` says otherwise. Without `state`: all that have not ended.',
  request: {
    query: z.object({
      state: z
        .preprocess(
          (value) => (typeof value === 'string' ? value.split(',') : value),
          z.array(z.enum(sandboxStates)).max(7),
        )
        .optional()
        .openapi({
          description: 'Repeated or separated by commas.',
          type: 'array',
          items: { type: 'string', enum: [...sandboxStates] },
        }),
      metadata: z
        .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(metadataPair).max(16))
        .optional()
        .openapi({ description: '`key=value`, repeated: all must match.', type: 'array', items: { type: 'string' } }),
      template: z.string().min(1).max(128).optional().openapi({ description: 'Only those made from it.' }),
      startedAfter: z.iso
        .datetime({ offset: true })
        .optional()
        .openapi({ description: 'Only those that began to run then or later.' }),
      by: z.enum(['created', 'started']).default('created').openapi({
        description: 'The time that orders the list. One that has not begun to run is in no list by start.',
      }),
      order: z.enum(['asc', 'desc']).default('desc').openapi({ description: '`asc`: oldest first.' }),
      total: z
        .enum(['true', 'false'], 'is true or false')
        .default('false')
        .transform((text) => text === 'true')
        .openapi({ type: 'boolean', default: false, description: 'Also answer how many there are on all pages.' }),
      ...cursorQuery,
    }),
  },
  responses: {
    200: {
      description: 'Sandboxes.',
      ...jsonContent(
        z.object({
          sandboxes: z.array(sandboxView),
          nextCursor,
          total: z.int().optional().openapi({ description: 'With `total=true`: of all pages.' }),
        }),
      ),
    },
    ...errorResponses(),
  },
});

export const getSandboxRoute = createRoute({
  method: 'get',
  path: `${base}/{sandboxId}`,
  operationId: 'getSandbox',
  tags,
  summary: 'Read a sandbox',
  description: 'One that has ended stays readable, with endReason and times.',
  request: { params: sandboxParams },
  responses: { 200: { description: 'The sandbox.', ...one }, ...errorResponses([404]) },
});

export const changeSandboxRoute = createRoute({
  method: 'patch',
  path: `${base}/{sandboxId}`,
  operationId: 'changeSandbox',
  tags,
  summary: 'Change metadata',
  description: 'A merge patch (RFC 7396): null removes a key, keys that are not named stay.',
  request: {
    params: sandboxParams,
    body: jsonBody(
      z
        .strictObject({
          metadata: z
            .record(metadataKey, metadataValue.nullable())
            .refine(fewPairs, `at most ${pairsCount} keys in one request`),
        })
        .openapi('ChangeSandbox'),
    ),
  },
  responses: { 200: { description: 'The sandbox as it is now.', ...one }, ...errorResponses([404, 409, 410, 413]) },
});

export const endSandboxRoute = createRoute({
  method: 'delete',
  path: `${base}/{sandboxId}`,
  operationId: 'endSandbox',
  tags,
  summary: 'End a sandbox',
  description: `Accepted in every state. Processes get SIGTERM and, after graceSeconds, SIGKILL. One that has ended already is answered as it
is: 200.`,
  request: {
    params: sandboxParams,
    query: z.object({ graceSeconds: z.coerce.number().int().min(0).max(30).default(0) }),
  },
  responses: {
    200: { description: 'It has ended.', ...one },
    202: { description: 'On record; its runner is away now and will do it (state `ending`).', ...one },
    ...errorResponses([404]),
  },
});
export const sandboxRoutes = [
  createSandboxRoute,
  listSandboxesRoute,
  getSandboxRoute,
  changeSandboxRoute,
  endSandboxRoute,
];
