import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { timestampOf } from '../../api/timestamp.ts';
import { ServiceError, type ErrorCode } from '../../core/errors.ts';
import { getMetricsHistory } from '../../core/sandboxes/get-metrics-history.ts';
import { sandboxRefOf } from '../../core/sandboxes/sandbox-ref.ts';
import { idOf, ofSandbox } from './of-sandbox.ts';
import { readQuery } from './read-query.ts';
import type { E2bRoute, Handled } from './route.ts';

type Sample = Awaited<ReturnType<typeof getMetricsHistory>>[number];

/** E2B counts a core as 100 %. */
const viewSample = (sample: Sample) => ({
  timestamp: timestampOf(sample.atMs),
  timestampUnix: Math.floor(sample.atMs / 1000),
  cpuCount: Math.max(1, Math.round(sample.cpus)),
  cpuUsedPct: sample.cpuUsedPercent * sample.cpus,
  memUsed: sample.memoryUsedBytes,
  memTotal: sample.memoryLimitBytes,
  memCache: sample.memoryCacheBytes,
  diskUsed: sample.diskUsedBytes,
  diskTotal: sample.diskLimitBytes,
});

const seconds = z.coerce.number().pipe(z.int().min(0).max(253_402_300_799));
const range = z.object({ start: seconds.optional(), end: seconds.optional() });

const get = ofSandbox(async (c, ctx, sandboxId) => {
  const { start, end } = readQuery(c, range);
  // Whole seconds: the one that ends the range is in it to its end.
  const endMs = end === undefined ? undefined : end * 1000 + 999;
  const startMs = start === undefined ? undefined : start * 1000;
  const samples = await getMetricsHistory(ctx, sandboxId, { startMs, endMs });
  return c.json(samples.map(viewSample), 200);
});

const sandboxesCount = 100;
/** Asked at once. */
const parallelCount = 16;

const many = z.object({
  sandbox_ids: z
    .union([z.string(), z.array(z.string())])
    .transform((given) => [given].flat().flatMap((text) => text.split(',')))
    .pipe(z.array(z.string()).max(sandboxesCount, `Too many sandboxes requested, maximum is ${sandboxesCount}`)),
});

/** Of these there is nothing to tell: what the caller has not got, what nothing runs in, what is out of reach for now. */
const untold: readonly ErrorCode[] = [
  'not_found',
  'sandbox_ended',
  'sandbox_not_running',
  'not_started',
  'unavailable',
  'runner_lost',
  'deadline_exceeded',
];

/** What each uses now. One node that does not answer takes nothing from the others' sandboxes. */
const getMany = async (c: Handled) => {
  const ctx = contextOf(c);
  const ids = [...new Set(readQuery(c, many).sandbox_ids.map(idOf))];
  const sandboxes: Record<string, ReturnType<typeof viewSample>> = {};
  const latestOf = async (sandboxId: string): Promise<void> => {
    try {
      sandboxes[sandboxId] = viewSample(await ctx.broker.metrics(sandboxRefOf(ctx, sandboxId)));
    } catch (error) {
      if (!(error instanceof ServiceError && untold.includes(error.code))) throw error;
    }
  };
  for (let at = 0; at < ids.length; at += parallelCount) {
    await Promise.all(ids.slice(at, at + parallelCount).map(latestOf));
  }
  return c.json({ sandboxes }, 200);
};

export const metricsRoutes: readonly E2bRoute[] = [
  { method: 'GET', path: '/sandboxes/metrics', body: 'none', handler: getMany },
  { method: 'GET', path: '/sandboxes/{sandboxID}/metrics', body: 'none', handler: get },
];
