import { getEnvironmentRoute, getLogsRoute, getMetricsHistoryRoute, getMetricsRoute } from '../contract/observation.ts';
import { getLogs, type LogEntry } from '../core/sandboxes/get-logs.ts';
import { getMetricsHistory } from '../core/sandboxes/get-metrics-history.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

const viewEntry = (entry: LogEntry) => {
  if (entry.type === 'lifecycle') {
    const { atMs, kind, message } = entry.event;
    return { type: entry.type, at: timestampOf(atMs), event: kind, message };
  }
  if (entry.type === 'file') return { type: entry.type, at: timestampOf(entry.file.atMs), path: entry.file.path };
  const { startedAtMs, ...record } = entry.record;
  return { type: entry.type, at: timestampOf(startedAtMs), ...record };
};

type UsageSample = Awaited<ReturnType<typeof getMetricsHistory>>[number];

const viewUsage = (sample: UsageSample) => ({
  at: timestampOf(sample.atMs),
  cpu: { limit: sample.cpus, usedPercent: sample.cpuUsedPercent },
  memory: {
    limitBytes: sample.memoryLimitBytes,
    usedBytes: sample.memoryUsedBytes,
    cacheBytes: sample.memoryCacheBytes,
  },
  disk: { limitBytes: sample.diskLimitBytes, usedBytes: sample.diskUsedBytes },
});

export const registerObservation = (app: App): void => {
  app.openapi(getMetricsRoute, async (c) => {
    const ctx = contextOf(c);
    const metrics = await ctx.broker.metrics(sandboxRefOf(c, ctx));
    return c.json(
      {
        at: timestampOf(metrics.atMs),
        cpu: { limit: metrics.cpus, usedSeconds: metrics.cpuSeconds, usedPercent: metrics.cpuUsedPercent },
        memory: {
          limitBytes: metrics.memoryLimitBytes,
          usedBytes: metrics.memoryUsedBytes,
          cacheBytes: metrics.memoryCacheBytes,
          peakBytes: metrics.memoryPeakBytes,
        },
        disk: { limitBytes: metrics.diskLimitBytes, usedBytes: metrics.diskUsedBytes },
        network: { receivedBytes: metrics.networkReceivedBytes, sentBytes: metrics.networkSentBytes },
        processes: metrics.processes,
      },
      200,
    );
  });

  app.openapi(getEnvironmentRoute, async (c) => {
    const ctx = contextOf(c);
    return c.json({ env: await ctx.broker.environment(sandboxRefOf(c, ctx)) }, 200);
  });

  app.openapi(getMetricsHistoryRoute, async (c) => {
    const { start, end, limit } = c.req.valid('query');
    const startMs = start === undefined ? undefined : Date.parse(start);
    const endMs = end === undefined ? undefined : Date.parse(end);
    const samples = await getMetricsHistory(contextOf(c), c.req.valid('param').sandboxId, { startMs, endMs, limit });
    return c.json({ samples: samples.map(viewUsage) }, 200);
  });

  app.openapi(getLogsRoute, async (c) => {
    const { from, ...page } = c.req.valid('query');
    const { entries, nextCursor } = await getLogs(contextOf(c), c.req.valid('param').sandboxId, {
      ...page,
      cursor: page.cursor,
      fromMs: from === undefined ? undefined : Date.parse(from),
    });
    return c.json({ entries: entries.map(viewEntry), nextCursor }, 200);
  });
};
