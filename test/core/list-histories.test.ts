import { expect, test } from 'vitest';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { getLogs } from '../../worker/core/sandboxes/get-logs.ts';
import { listHistories } from '../../worker/core/sandboxes/list-histories.ts';
import { noteGeneratedFile } from '../../worker/core/sandboxes/note-generated-file.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

const world = async (sandboxesCount: number) => {
  const cell = scriptedCell();
  const ids: string[] = [];
  for (let count = 0; count < sandboxesCount; count += 1) {
    ids.push((await createSandbox({ ...cell.context, now: () => 1_000 + count }, createInput)).sandbox.id);
  }
  const addExecs = (sandboxId: string, atMs: number, commands: readonly string[]) => {
    const records = commands.map((command, index) => ({
      processId: `${atMs}-${index}`,
      command,
      startedAtMs: atMs,
      durationMs: 1,
      exitCode: 0,
      signal: null,
      reason: 'exited',
    }));
    cell.database.database
      .prepare('insert into exec_history (sandbox_id, at_ms, count, records) values (?, ?, ?, ?)')
      .run(sandboxId, atMs, records.length, JSON.stringify(records));
  };
  return { ...cell, ids, addExecs };
};

type World = Awaited<ReturnType<typeof world>>;

/** All of them, page by page. */
const walk = async (
  { context }: World,
  order: 'asc' | 'desc',
  limit: number,
): Promise<Awaited<ReturnType<typeof listHistories>>['histories'][]> => {
  const pages = [];
  let cursor: string | undefined;
  do {
    const page = await listHistories(context, { order, cursor, limit });
    pages.push(page.histories);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined && pages.length < 100);
  return pages;
};

test.each(['asc', 'desc'] as const)(
  'pages in %s order show every sandbox once, those of one millisecond too',
  async (order) => {
    const cell = await world(5);
    cell.database.database.exec('update sandboxes set created_at_ms = 7 where created_at_ms < 1003');
    const rows = cell.database.database
      .prepare(`select id from sandboxes order by created_at_ms ${order}, id ${order}`)
      .all();
    for (const limit of [1, 2, 5]) {
      const pages = await walk(cell, order, limit);
      expect(pages.flat().map(({ sandbox }) => sandbox.id)).toEqual(rows.map(({ id }) => id));
      expect(pages).toHaveLength(Math.ceil(5 / limit));
    }
  },
);

test('each has its own execs and files, in order', async () => {
  const cell = await world(3);
  const [first = '', second = ''] = cell.ids;
  cell.addExecs(first, 1, ['a', 'b']);
  cell.addExecs(second, 2, ['x']);
  cell.addExecs(first, 3, ['c']);
  await noteGeneratedFile(cell.context, second, '/workspace/2');
  await noteGeneratedFile(cell.context, second, '/workspace/1');
  const [page = []] = await walk(cell, 'asc', 10);
  expect(page.map(({ execs, files }) => [execs.map(({ command }) => command), files.map(({ path }) => path)])).toEqual([
    [['a', 'b', 'c'], []],
    [['x'], ['/workspace/2', '/workspace/1']],
    [[], []],
  ]);
});

test('large histories end a page early, and each is shown on one', async () => {
  const cell = await world(4);
  const large = Array.from({ length: 100 }, () => 'x'.repeat(16_000));
  // 5 × 1.6 MB and a little, of 8 MiB a page.
  for (const id of cell.ids.slice(1, 3)) for (let row = 0; row < 5; row += 1) cell.addExecs(id, row, large);
  const pages = await walk(cell, 'asc', 10);
  expect(pages.map((page) => page.map(({ execs }) => execs.length))).toEqual([
    [0, 500],
    [500, 0],
  ]);
});

test('of a single history that is too large the newest part is shown', async () => {
  const cell = await world(1);
  const [id = ''] = cell.ids;
  for (let row = 0; row < 10; row += 1) {
    cell.addExecs(
      id,
      row,
      Array.from({ length: 100 }, () => `${row}${'x'.repeat(16_000)}`),
    );
  }
  const [[history] = []] = await walk(cell, 'asc', 10);
  expect(history?.execs).toHaveLength(500);
  expect(history?.execs[0]?.command).toMatch(/^5x/);
  expect(history?.execs.at(-1)?.command).toMatch(/^9x/);
});

test('of generated files the newest 1,000 are kept', async () => {
  const cell = await world(2);
  const [id = '', other = ''] = cell.ids;
  await noteGeneratedFile(cell.context, other, '/kept');
  for (let count = 0; count < 1_005; count += 1) await noteGeneratedFile(cell.context, id, `/${count}`);
  const [[history, neighbour] = []] = await walk(cell, 'asc', 10);
  expect(history?.files).toHaveLength(1_000);
  expect(history?.files[0]?.path).toBe('/5');
  expect(neighbour?.files.map(({ path }) => path)).toEqual(['/kept']);
});

test('another tenant’s sandbox is neither listed nor written to', async () => {
  const cell = await world(1);
  const { actor } = cell.context;
  const stranger = { ...cell.context, actor: { ...actor, tenant: { ...actor.tenant, id: 'ten_other' } } };
  await noteGeneratedFile(stranger, cell.ids[0] ?? '', '/theirs');
  expect((await listHistories(stranger, { order: 'asc', cursor: undefined, limit: 10 })).histories).toEqual([]);
  expect((await walk(cell, 'asc', 10))[0]?.[0]?.files).toEqual([]);
});

test('a sandbox’s log has its files among the rest, in either order, from any moment on, whatever the pages', async () => {
  const cell = await world(1);
  const [id = ''] = cell.ids;
  const at = (atMs: number) => ({ ...cell.context, now: () => atMs });
  const late = Date.now() + 60_000;
  cell.addExecs(id, late, ['a', 'b']);
  await noteGeneratedFile(at(late), id, '/1');
  await noteGeneratedFile(at(late), id, '/2');
  cell.addExecs(id, late, ['c']);
  cell.addExecs(id, late + 1, ['d']);
  const told = async (limit: number, order: 'asc' | 'desc', fromMs?: number): Promise<string[]> => {
    const entries: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await getLogs(cell.context, id, { order, fromMs, cursor, limit });
      for (const entry of page.entries) {
        entries.push(
          entry.type === 'exec' ? entry.record.command : entry.type === 'file' ? entry.file.path : entry.event.kind,
        );
      }
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined && entries.length < 100);
    return entries;
  };
  const all = ['created', 'running', 'a', 'b', 'c', '/1', '/2', 'd'];
  for (const limit of [1, 2, 3, 100]) {
    expect(await told(limit, 'asc')).toEqual(all);
    expect(await told(limit, 'desc')).toEqual(all.toReversed());
    expect(await told(limit, 'asc', late)).toEqual(all.slice(2));
    expect(await told(limit, 'desc', late)).toEqual(all.slice(0, -1).toReversed());
    expect(await told(limit, 'asc', late + 2)).toEqual([]);
  }
});

test('a runner that does not answer, or refuses, keeps nobody from what is on record', async () => {
  const cell = await world(2);
  for (const id of cell.ids) cell.addExecs(id, 1, ['a']);
  const told: unknown[] = [];
  const withBroker = (reportHistory: () => Promise<void>) => ({
    ...cell.context,
    log: (...line: unknown[]) => void told.push(line),
    broker: { ...cell.context.broker, reportHistory },
  });
  const page = { order: 'asc', cursor: undefined, limit: 10 } as const;
  const silent = await listHistories(
    withBroker(() => Promise.withResolvers<void>().promise),
    page,
  );
  const refusing = await listHistories(
    withBroker(() => Promise.reject(new Error('away'))),
    page,
  );
  for (const { histories } of [silent, refusing]) {
    expect(histories.map(({ execs }) => execs.length)).toEqual([1, 1]);
  }
  expect(told).toHaveLength(2);
});
