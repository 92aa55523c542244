import { and, asc, desc, eq, gt, gte, lt, lte, or, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import {
  execHistory,
  generatedFiles,
  sandboxEvents,
  type GeneratedFile,
  type Sandbox,
  type SandboxEvent,
} from '../../../db/cell.ts';
import type { ExecRecord } from '../../../runner/protocol/node-report.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Order, PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { getSandbox } from './get-sandbox.ts';

export type LogEntry =
  | { type: 'lifecycle'; event: SandboxEvent }
  | { type: 'exec'; record: ExecRecord }
  | { type: 'file'; file: GeneratedFile };

/** Where an entry stands: by time of writing, lifecycle before execs before files of the same moment, then by row and place in the row. */
type Position = readonly [atMs: number, source: number, rowId: number, index: number];
const lifecycleSource = 0;
const execSource = 1;
const fileSource = 2;
/** Of no entry: before and after all of the same moment. */
const beforeAll = -1;
const afterAll = 3;

interface Placed {
  position: Position;
  entry: LogEntry;
}

/** Which part of the log: what comes after `from`, in this order. */
interface Part {
  from: Position;
  order: Order;
  count: number;
}

const compare = (a: Position, b: Position): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];

/** The entries that come after `from`, in order. */
const inOrder = (placed: readonly Placed[], { from, order, count }: Part): Placed[] => {
  const sign = order === 'asc' ? 1 : -1;
  return placed
    .filter(({ position }) => sign * compare(position, from) > 0)
    .sort((a, b) => sign * compare(a.position, b.position))
    .slice(0, count);
};

/** Without a cursor: where the log begins, or with fromMs at that time, all of its moment among what comes. */
const startOf = (order: Order, fromMs: number | undefined): Position =>
  order === 'asc' ? [fromMs ?? 0, beforeAll, 0, 0] : [fromMs ?? Number.MAX_SAFE_INTEGER, afterAll, 0, 0];

/**
 * Lifecycle events, finished execs and generated files in the order in which they were recorded, oldest or newest first. `fromMs`: of the
 * first page only. Throws not_found.
 */
export const getLogs = async (
  ctx: Context,
  sandboxId: string,
  page: PageOf & { fromMs: number | undefined },
): Promise<{ entries: LogEntry[]; nextCursor: string | null }> => {
  const sandbox = await getSandbox(ctx, sandboxId);
  const { order, cursor, limit, fromMs } = page;
  const from: Position =
    cursor === undefined ? startOf(order, fromMs) : decodeCursor(cursor, ['number', 'number', 'number', 'number']);
  const part: Part = { from, order, count: limit + 1 };
  const [events, execs, files] = await Promise.all([
    lifecycleOf(ctx, sandbox, part),
    execsOf(ctx, sandbox.id, part),
    filesOf(ctx, sandbox.id, part),
  ]);
  const placed = inOrder([...events, ...execs, ...files], part);
  const shown = placed.slice(0, limit);
  const last = shown.at(-1);
  return {
    entries: shown.map(({ entry }) => entry),
    nextCursor: placed.length > limit && last ? encodeCursor(last.position) : null,
  };
};

interface TimedTable {
  atMs: SQLiteColumn;
  id: SQLiteColumn;
}

/** The rows of a source that may hold what comes after `from`; a row that is partly shown among them. */
const rowsAfter = ({ atMs, id }: TimedTable, source: number, { from, order }: Part) => {
  const [fromAtMs, fromSource, rowId] = from;
  const [by, beyond, orBeyond] = order === 'asc' ? [asc, gt, gte] : [desc, lt, lte];
  const wholeMoment = order === 'asc' ? source > fromSource : source < fromSource;
  const sameMoment = wholeMoment ? undefined : source === fromSource ? orBeyond(id, rowId) : sql`false`;
  return {
    where: or(beyond(atMs, fromAtMs), and(eq(atMs, fromAtMs), sameMoment)),
    orderBy: [by(atMs), by(id)],
  };
};

/** Its beginning is in the sandbox's own row: a create writes no event. Their places are before every event's of the same moment. */
const beginning = (sandbox: Sandbox): SandboxEvent[] => {
  const { id: sandboxId, template, createdAtMs, startedAtMs } = sandbox;
  const created = {
    id: -2,
    sandboxId,
    atMs: createdAtMs,
    kind: 'created',
    message: `Created from ${template}.`,
  } as const;
  if (startedAtMs === null) return [created];
  return [created, { id: -1, sandboxId, atMs: startedAtMs, kind: 'running', message: 'Running.' }];
};

const lifecycleOf = async (ctx: Context, sandbox: Sandbox, part: Part): Promise<Placed[]> => {
  const { where, orderBy } = rowsAfter(sandboxEvents, lifecycleSource, part);
  const rows = await ctx.cell
    .select()
    .from(sandboxEvents)
    .where(and(eq(sandboxEvents.sandboxId, sandbox.id), where))
    .orderBy(...orderBy)
    .limit(part.count + 1);
  const placed = [...beginning(sandbox), ...rows].map((event): Placed => ({
    position: [event.atMs, lifecycleSource, event.id, 0],
    entry: { type: 'lifecycle', event },
  }));
  return inOrder(placed, part);
};

/** A history row holds up to 200 execs of 16 KiB: only the rows that this page needs are read whole. */
const execsOf = async (ctx: Context, sandboxId: string, part: Part): Promise<Placed[]> => {
  const { from, order, count } = part;
  const { where, orderBy } = rowsAfter(execHistory, execSource, part);
  const rest = and(eq(execHistory.sandboxId, sandboxId), where);
  const heads = await ctx.cell
    .select({ id: execHistory.id, count: execHistory.count })
    .from(execHistory)
    .where(rest)
    .orderBy(...orderBy)
    .limit(count + 1);
  let rowsCount = 0;
  let covered = 0;
  for (const head of heads) {
    if (covered >= count) break;
    rowsCount += 1;
    const partlyShown = from[1] === execSource && head.id === from[2];
    const left = order === 'asc' ? head.count - from[3] - 1 : from[3];
    covered += partlyShown ? left : head.count;
  }
  if (rowsCount === 0) return [];
  const rows = await ctx.cell
    .select()
    .from(execHistory)
    .where(rest)
    .orderBy(...orderBy)
    .limit(rowsCount);
  const placed = rows.flatMap((row) =>
    row.records.map((record, index): Placed => ({
      position: [row.atMs, execSource, row.id, index],
      entry: { type: 'exec', record },
    })),
  );
  return inOrder(placed, part);
};

const filesOf = async (ctx: Context, sandboxId: string, part: Part): Promise<Placed[]> => {
  const { where, orderBy } = rowsAfter(generatedFiles, fileSource, part);
  const rows = await ctx.cell
    .select()
    .from(generatedFiles)
    .where(and(eq(generatedFiles.sandboxId, sandboxId), where))
    .orderBy(...orderBy)
    .limit(part.count + 1);
  const placed = rows.map((file): Placed => ({
    position: [file.atMs, fileSource, file.id, 0],
    entry: { type: 'file', file },
  }));
  return inOrder(placed, part);
};
