import { and, asc, eq, gt, gte, or } from 'drizzle-orm';
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

interface Placed {
  position: Position;
  entry: LogEntry;
}

const start: Position = [0, lifecycleSource, 0, -1];

const compare = (a: Position, b: Position): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];

/** Lifecycle events, finished execs and generated files in the order in which they were recorded, oldest first. Throws not_found. */
export const getLogs = async (
  ctx: Context,
  sandboxId: string,
  page: { cursor: string | undefined; limit: number },
): Promise<{ entries: LogEntry[]; nextCursor: string | null }> => {
  const sandbox = await getSandbox(ctx, sandboxId);
  const from: Position =
    page.cursor === undefined ? start : decodeCursor(page.cursor, ['number', 'number', 'number', 'number']);
  const wanted = page.limit + 1;
  const [events, execs, files] = await Promise.all([
    lifecycleAfter(ctx, sandbox, from, wanted),
    execsAfter(ctx, sandbox.id, from, wanted),
    filesAfter(ctx, sandbox.id, from, wanted),
  ]);
  const placed = [...events, ...execs, ...files].sort((a, b) => compare(a.position, b.position));
  const shown = placed.slice(0, page.limit);
  const last = shown.at(-1);
  return {
    entries: shown.map(({ entry }) => entry),
    nextCursor: placed.length > page.limit && last ? encodeCursor(last.position) : null,
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

const lifecycleAfter = async (ctx: Context, sandbox: Sandbox, from: Position, count: number): Promise<Placed[]> => {
  const [atMs, source, rowId] = from;
  const sameTime =
    source === lifecycleSource ? and(eq(sandboxEvents.atMs, atMs), gt(sandboxEvents.id, rowId)) : undefined;
  const rows = await ctx.cell
    .select()
    .from(sandboxEvents)
    .where(and(eq(sandboxEvents.sandboxId, sandbox.id), or(gt(sandboxEvents.atMs, atMs), sameTime)))
    .orderBy(asc(sandboxEvents.atMs), asc(sandboxEvents.id))
    .limit(count);
  return [...beginning(sandbox), ...rows]
    .map((event): Placed => ({
      position: [event.atMs, lifecycleSource, event.id, 0],
      entry: { type: 'lifecycle', event },
    }))
    .filter(({ position }) => compare(position, from) > 0);
};

/** A history row holds up to 200 execs of 16 KiB: only the rows that this page needs are read whole. */
const execsAfter = async (ctx: Context, sandboxId: string, from: Position, count: number): Promise<Placed[]> => {
  const [atMs, source, rowId] = from;
  const sameTime =
    source === fileSource
      ? undefined
      : and(eq(execHistory.atMs, atMs), gte(execHistory.id, source === execSource ? rowId : 0));
  const rest = and(eq(execHistory.sandboxId, sandboxId), or(gt(execHistory.atMs, atMs), sameTime));
  const order = [asc(execHistory.atMs), asc(execHistory.id)];
  const heads = await ctx.cell
    .select({ id: execHistory.id, atMs: execHistory.atMs, count: execHistory.count })
    .from(execHistory)
    .where(rest)
    .orderBy(...order)
    .limit(count + 1);
  let rowsCount = 0;
  let covered = 0;
  for (const head of heads) {
    if (covered >= count) break;
    rowsCount += 1;
    const partlyShown = source === execSource && head.id === rowId;
    covered += partlyShown ? head.count - from[3] - 1 : head.count;
  }
  if (rowsCount === 0) return [];
  const rows = await ctx.cell
    .select()
    .from(execHistory)
    .where(rest)
    .orderBy(...order)
    .limit(rowsCount);
  return rows
    .flatMap((row) =>
      row.records.map((record, index): Placed => ({
        position: [row.atMs, execSource, row.id, index],
        entry: { type: 'exec', record },
      })),
    )
    .filter(({ position }) => compare(position, from) > 0)
    .slice(0, count);
};

const filesAfter = async (ctx: Context, sandboxId: string, from: Position, count: number): Promise<Placed[]> => {
  const [atMs, source, rowId] = from;
  const sameTime = and(eq(generatedFiles.atMs, atMs), gt(generatedFiles.id, source === fileSource ? rowId : 0));
  const rows = await ctx.cell
    .select()
    .from(generatedFiles)
    .where(and(eq(generatedFiles.sandboxId, sandboxId), or(gt(generatedFiles.atMs, atMs), sameTime)))
    .orderBy(asc(generatedFiles.atMs), asc(generatedFiles.id))
    .limit(count);
  return rows.map((file): Placed => ({
    position: [file.atMs, fileSource, file.id, 0],
    entry: { type: 'file', file },
  }));
};
