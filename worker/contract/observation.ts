import { createRoute, z } from '@hono/zod-openapi';
import { cursorQuery, errorResponses, jsonContent, listOrder, nextCursor, sandboxParams, timestamp } from './common.ts';

const tags = ['Sandboxes'];

const metricsView = z
  .object({
    at: timestamp,
    cpu: z.object({
      limit: z.number().openapi({ description: 'vCPUs.' }),
      usedSeconds: z.number(),
      usedPercent: z.number().openapi({ description: 'Of the limit, over the last interval.' }),
    }),
    memory: z.object({
      limitBytes: z.int(),
      usedBytes: z.int(),
      cacheBytes: z.int().openapi({ description: 'Contents of files that the kernel keeps; partly in usedBytes.' }),
      peakBytes: z.int(),
    }),
    disk: z.object({ limitBytes: z.int(), usedBytes: z.int() }),
    network: z.object({ receivedBytes: z.int(), sentBytes: z.int() }),
    processes: z.int(),
  })
  .openapi('SandboxMetrics');

export const getMetricsRoute = createRoute({
  method: 'get',
  path: '/v1/sandboxes/{sandboxId}/metrics',
  operationId: 'getSandboxMetrics',
  tags,
  summary: 'What it uses now',
  request: { params: sandboxParams },
  responses: {
    200: { description: 'As the host counts it.', ...jsonContent(metricsView) },
    ...errorResponses([404, 409, 410, 502]),
  },
});

export const getEnvironmentRoute = createRoute({
  method: 'get',
  path: '/v1/sandboxes/{sandboxId}/environment',
  operationId: 'getSandboxEnvironment',
  tags,
  summary: 'The variables that it was created with',
  description: 'As `env` was given at its creation. Only its node still knows them.',
  request: { params: sandboxParams },
  responses: {
    200: {
      description: 'Variables.',
      ...jsonContent(z.object({ env: z.record(z.string(), z.string()) }).openapi('SandboxEnvironment')),
    },
    ...errorResponses([404, 409, 410, 502]),
  },
});

const usageView = z
  .object({
    at: timestamp,
    cpu: z.object({
      limit: z.number().openapi({ description: 'vCPUs.' }),
      usedPercent: z.number().openapi({ description: 'Of the limit, since the sample before.' }),
    }),
    memory: z.object({
      limitBytes: z.int(),
      usedBytes: z.int(),
      cacheBytes: z.int().openapi({ description: 'Contents of files that the kernel keeps; partly in usedBytes.' }),
    }),
    disk: z.object({ limitBytes: z.int(), usedBytes: z.int() }),
  })
  .openapi('UsageSample');

export const getMetricsHistoryRoute = createRoute({
  method: 'get',
  path: '/v1/sandboxes/{sandboxId}/metrics/history',
  operationId: 'getSandboxMetricsHistory',
  tags,
  summary: 'What it has used',
  description: `A sample every five seconds while it runs, of the last hour at most, oldest first. Its runner remembers them: a restart of
the runner begins anew.`,
  request: {
    params: sandboxParams,
    query: z.object({
      start: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Included. Absent: from the first.' }),
      end: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Included. Absent: to the last.' }),
      limit: z.coerce.number().int().min(1).max(720).default(720).openapi({ description: 'The latest so many.' }),
    }),
  },
  responses: {
    200: {
      description: 'Samples; none in its first second.',
      ...jsonContent(z.object({ samples: z.array(usageView) })),
    },
    ...errorResponses([404, 410, 502]),
  },
});

const lifecycleEntry = z
  .object({
    type: z.literal('lifecycle'),
    at: timestamp,
    event: z.enum(['created', 'running', 'paused', 'resumed', 'deadline', 'ended', 'metadata', 'network', 'snapshot']),
    message: z.string(),
  })
  .openapi('LifecycleLogEntry');

const execEntry = z
  .object({
    type: z.literal('exec'),
    at: timestamp.openapi({ description: 'When it started.' }),
    processId: z.string(),
    command: z.string().openapi({ description: 'At most 16 KiB of it.' }),
    durationMs: z.number().nullable(),
    exitCode: z.int().nullable(),
    signal: z.string().nullable(),
    reason: z.string(),
  })
  .openapi('ExecLogEntry');

const fileEntry = z
  .object({
    type: z.literal('file'),
    at: timestamp,
    path: z.string().openapi({
      description: 'Of what was copied from the sandbox to a disk: a file, or a directory, with a slash at its end.',
    }),
  })
  .openapi('FileLogEntry');

export const getLogsRoute = createRoute({
  method: 'get',
  path: '/v1/sandboxes/{sandboxId}/logs',
  operationId: 'getSandboxLogs',
  tags,
  summary: 'Lifecycle, exec history and generated files',
  description: `In the order in which they were recorded. Runners report execs every few seconds; the last 1,000 of a sandbox,
and of its generated files, are kept for 7 days.`,
  request: {
    params: sandboxParams,
    query: z.object({
      ...cursorQuery,
      order: listOrder.default('asc'),
      from: z.iso.datetime({ offset: true }).optional().openapi({
        description: 'Where the first page begins: entries of that moment and later ones, or earlier ones with `desc`.',
      }),
    }),
  },
  responses: {
    200: {
      description: 'Entries.',
      ...jsonContent(z.object({ entries: z.array(z.union([lifecycleEntry, execEntry, fileEntry])), nextCursor })),
    },
    ...errorResponses([404]),
  },
});

export const observationRoutes = [getEnvironmentRoute, getMetricsRoute, getMetricsHistoryRoute, getLogsRoute];
