import { z } from '@hono/zod-openapi';
import { timestampOf } from '../../api/timestamp.ts';
import { getLogs, type LogEntry } from '../../core/sandboxes/get-logs.ts';
import { ofSandbox } from './of-sandbox.ts';
import { readQuery } from './read-query.ts';
import type { E2bRoute } from './route.ts';

const levels = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof levels)[number];

interface Line {
  timestamp: string;
  level: Level;
  message: string;
  fields: Record<string, string>;
}

/** E2B's logs are what its envd writes; here it is what happened to the sandbox, what ran in it and what was taken out of it. */
const viewEntry = (entry: LogEntry): Line => {
  switch (entry.type) {
    case 'lifecycle': {
      const { atMs, kind, message } = entry.event;
      return { timestamp: timestampOf(atMs), level: 'info', message, fields: { logger: 'lifecycle', event: kind } };
    }
    case 'exec': {
      const { startedAtMs, processId, command, exitCode, signal, reason } = entry.record;
      const fields = {
        logger: 'process',
        processId,
        reason,
        ...(exitCode === null ? {} : { exitCode: String(exitCode) }),
        ...(signal === null ? {} : { signal }),
      };
      return { timestamp: timestampOf(startedAtMs), level: exitCode === 0 ? 'info' : 'warn', message: command, fields };
    }
    case 'file': {
      const { atMs, path } = entry.file;
      return { timestamp: timestampOf(atMs), level: 'info', message: path, fields: { logger: 'file' } };
    }
    default:
      return entry satisfies never;
  }
};

/** What there is of a sandbox's log at most, for a search that looks through all of it: see the limits on histories. */
const scannedCount = 3_000;
const millis = z.coerce.number().pipe(z.int().min(0).max(253_402_300_799_999));
const count = z.coerce.number().pipe(z.int().min(0).max(1_000, 'limit is at most 1000')).default(1_000);

const firstQuery = z.object({ start: millis.optional(), limit: count });

/** The CLI reads each line as JSON. */
const list = ofSandbox(async (c, ctx, sandboxId) => {
  const { start, limit } = readQuery(c, firstQuery);
  const page = { order: 'asc', fromMs: start, cursor: undefined, limit } as const;
  const { entries } = await getLogs(ctx, sandboxId, page);
  const lines = entries.map(viewEntry);
  const logs = lines.map(({ timestamp, level, message, fields }) => ({
    timestamp,
    line: JSON.stringify({ level, message, ...fields }),
  }));
  return c.json({ logs, logEntries: lines }, 200);
});

const secondQuery = z.object({
  cursor: millis.optional(),
  limit: count,
  direction: z.enum(['forward', 'backward']).default('backward'),
  level: z.enum(levels).default('debug'),
  search: z.string().max(256, 'search has at most 256 characters').default(''),
});

const listV2 = ofSandbox(async (c, ctx, sandboxId) => {
  const { cursor, limit, direction, level, search } = readQuery(c, secondQuery);
  const filtered = search !== '' || level !== 'debug';
  const { entries } = await getLogs(ctx, sandboxId, {
    order: direction === 'forward' ? 'asc' : 'desc',
    fromMs: cursor,
    cursor: undefined,
    limit: filtered ? scannedCount : limit,
  });
  const wanted = entries
    .map(viewEntry)
    .filter((line) => levels.indexOf(line.level) >= levels.indexOf(level) && line.message.includes(search));
  return c.json({ logs: wanted.slice(0, limit) }, 200);
});

export const logRoutes: readonly E2bRoute[] = [
  { method: 'GET', path: '/sandboxes/{sandboxID}/logs', body: 'none', handler: list },
  { method: 'GET', path: '/v2/sandboxes/{sandboxID}/logs', body: 'none', handler: listV2 },
];
