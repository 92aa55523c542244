import { asc, sql, type SQL } from 'drizzle-orm';
import { execHistory, generatedFiles, type GeneratedFile, type Sandbox } from '../../../db/cell.ts';
import type { ExecRecord } from '../../../runner/protocol/node-report.ts';
import { cursorAfter } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { publicStates } from '../sandbox-state.ts';
import { awaitReports } from './await-reports.ts';
import { listSandboxes, type ListSandboxes } from './list-sandboxes.ts';

/** Of all histories of a page together, and of one sandbox's execs: what a Worker can hold and render at once. */
const pageBytes = 8 * 1024 * 1024;

export interface SandboxHistory {
  sandbox: Sandbox;
  /** Finished ones, oldest first. */
  execs: ExecRecord[];
  files: GeneratedFile[];
}

/**
 * The tenant's sandboxes, ended ones among them, each with what was run in it and taken out of it. A page whose histories are large ends
 * early, after one sandbox at least; of a single history that is larger still the newest part is answered.
 */
export const listHistories = async (
  ctx: Context,
  input: Pick<ListSandboxes, 'order' | 'cursor' | 'limit'>,
): Promise<{ histories: SandboxHistory[]; nextCursor: string | null }> => {
  const page = await listSandboxes(ctx, { ...input, by: 'created', states: publicStates, metadata: [] });
  await awaitReports(ctx, page.sandboxes);
  const shown = await thatFit(ctx, page.sandboxes);
  const last = shown.at(-1);
  const cut = shown.length < page.sandboxes.length && last !== undefined;
  const [execs, files] = await Promise.all([execsOf(ctx, shown), filesOf(ctx, shown)]);
  return {
    histories: shown.map((sandbox) => ({
      sandbox,
      execs: execs.get(sandbox.id) ?? [],
      files: files.get(sandbox.id) ?? [],
    })),
    nextCursor: cut ? cursorAfter(last) : page.nextCursor,
  };
};

/** As one parameter: D1 takes at most 100 a statement. */
const among = (rows: readonly Sandbox[]): SQL =>
  sql`(select value from json_each(${JSON.stringify(rows.map(({ id }) => id))}))`;

/** The first ones, up to pageBytes of history. */
const thatFit = async (ctx: Context, rows: Sandbox[]): Promise<Sandbox[]> => {
  const sizes = await ctx.cell.all<{ id: string; bytes: number }>(
    sql`select sandbox_id as id, sum(octet_length(records)) as bytes from ${execHistory} where sandbox_id in ${among(rows)} group by 1
      union all
      select sandbox_id as id, sum(octet_length(path)) as bytes from ${generatedFiles} where sandbox_id in ${among(rows)} group by 1`,
  );
  const bytesOf = Map.groupBy(sizes, ({ id }) => id);
  let totalBytes = 0;
  const firstBeyond = rows.findIndex(({ id }, index) => {
    for (const { bytes } of bytesOf.get(id) ?? []) totalBytes += bytes;
    return index > 0 && totalBytes > pageBytes;
  });
  return firstBeyond === -1 ? rows : rows.slice(0, firstBeyond);
};

const execsOf = async (ctx: Context, rows: readonly Sandbox[]): Promise<Map<string, ExecRecord[]>> => {
  const newest = sql`(select id from (select id,
      sum(octet_length(records)) over (partition by sandbox_id order by id desc) as total
      from ${execHistory} where sandbox_id in ${among(rows)}) where total <= ${pageBytes})`;
  const batches = await ctx.cell
    .select()
    .from(execHistory)
    .where(sql`${execHistory.id} in ${newest}`)
    .orderBy(asc(execHistory.id));
  const execs = new Map<string, ExecRecord[]>();
  for (const [id, of] of Map.groupBy(batches, ({ sandboxId }) => sandboxId)) {
    execs.set(
      id,
      of.flatMap(({ records }) => records),
    );
  }
  return execs;
};

const filesOf = async (ctx: Context, rows: readonly Sandbox[]): Promise<Map<string, GeneratedFile[]>> => {
  const files = await ctx.cell
    .select()
    .from(generatedFiles)
    .where(sql`${generatedFiles.sandboxId} in ${among(rows)}`)
    .orderBy(asc(generatedFiles.id));
  return Map.groupBy(files, ({ sandboxId }) => sandboxId);
};
