import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAcontext, failure, failureOf, type Acontext } from './client.ts';

interface Log {
  id: string;
  project_id: string;
  backend_sandbox_id: string | null;
  backend_type: string;
  history_commands: { command: string; exit_code: number }[];
  generated_files: { sandbox_path: string }[];
  will_total_alive_seconds: number;
  created_at: string;
  updated_at: string;
}
interface Page {
  items: Log[];
  next_cursor?: string;
  has_more: boolean;
}

let acontext: Acontext;
beforeAll(async () => {
  acontext = await createAcontext();
});
afterAll(() => acontext.cleanUp());

const create = async (): Promise<string> =>
  (await acontext.data<{ sandbox_id: string }>(201, 'POST', '/sandbox')).sandbox_id;
const exec = (id: string, command: string) => acontext.data(200, 'POST', `/sandbox/${id}/exec`, { command });
const logs = (query = ''): Promise<Page> => acontext.data<Page>(200, 'GET', `/sandbox/logs${query}`);

test('a tenant without sandboxes has empty logs', async () => {
  const nobody = await createAcontext();
  expect(await nobody.data(200, 'GET', '/sandbox/logs')).toEqual({ items: [], has_more: false });
});

describe('what ran in a sandbox', () => {
  test('is in its log, in order, as soon as it was answered, while it runs and after it was killed', async () => {
    const id = await create();
    await exec(id, 'echo one');
    await exec(id, 'exit 3');
    const find = async () => (await logs('?limit=200')).items.find((item) => item.id === id);
    expect(await find()).toEqual({
      id,
      project_id: acontext.tenant.tenantId,
      backend_sandbox_id: id.replaceAll('-', ''),
      backend_type: 'docker',
      history_commands: [
        { command: 'echo one', exit_code: 0 },
        { command: 'exit 3', exit_code: 3 },
      ],
      generated_files: [],
      will_total_alive_seconds: expect.any(Number) as number,
      created_at: expect.any(String) as string,
      updated_at: expect.any(String) as string,
    });
    await exec(id, 'kill -9 $$');
    expect((await find())?.history_commands).toHaveLength(3);
    const alive = await find();
    expect(alive?.history_commands.at(-1)).toEqual({ command: 'kill -9 $$', exit_code: 137 });
    expect(alive?.will_total_alive_seconds).toBeGreaterThanOrEqual(1800);
    expect(alive?.will_total_alive_seconds).toBeLessThan(1900);

    await exec(id, 'echo last');
    await acontext.data(200, 'DELETE', `/sandbox/${id}`);
    const dead = await find();
    expect(dead?.history_commands.map(({ command }) => command)).toEqual([
      'echo one',
      'exit 3',
      'kill -9 $$',
      'echo last',
    ]);
    expect(dead).toMatchObject({ id, backend_sandbox_id: null });
    expect(dead?.will_total_alive_seconds).toBeLessThan(60);
    expect(Date.parse(dead?.updated_at ?? '')).toBeGreaterThan(Date.parse(dead?.created_at ?? ''));
  });

  test('of many at once is complete, and no exec is told twice', async () => {
    const ids = await Promise.all([create(), create()]);
    const commands = Array.from({ length: 30 }, (_, index) => `: ${index}`);
    await Promise.all(
      ids.map(async (id) => {
        for (const command of commands) await exec(id, command);
      }),
    );
    const pages = await Promise.all([logs('?limit=200'), logs('?limit=200'), logs('?limit=200&time_desc=true')]);
    for (const { items } of pages) {
      for (const id of ids) {
        const item = items.find((candidate) => candidate.id === id);
        expect(item?.history_commands.map(({ command }) => command)).toEqual(commands);
      }
    }
  });
});

describe('pages', () => {
  let own: Acontext;
  let made: string[];
  beforeAll(async () => {
    own = await createAcontext();
    made = [];
    for (let count = 0; count < 5; count += 1) {
      const { sandbox_id: id } = await own.data<{ sandbox_id: string }>(201, 'POST', '/sandbox');
      made.push(id);
      if (count % 2 === 0) await own.data(200, 'DELETE', `/sandbox/${id}`);
    }
  });
  afterAll(() => own.cleanUp());

  test.each([
    ['oldest first, which is the default', ''],
    ['oldest first', '&time_desc=false'],
    ['newest first', '&time_desc=true'],
  ])('%s: every sandbox once, ended ones too, and no cursor on the last', async (_, order) => {
    const wanted = order.endsWith('true') ? made.toReversed() : made;
    for (const limit of [2, 5, 200]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const from: string = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const page: Page = await own.data<Page>(200, 'GET', `/sandbox/logs?limit=${limit}${order}${from}`);
        expect(page.items.length).toBeLessThanOrEqual(limit);
        expect('next_cursor' in page).toBe(page.has_more);
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.next_cursor;
      } while (cursor !== undefined && seen.length < 100);
      expect(seen).toEqual(wanted);
    }
  });

  test('the native list goes either way as well', async () => {
    const native = made.map((id) => id.replaceAll('-', ''));
    const list = async (order: string) => {
      const states = 'creating,running,ended';
      const page = await own.tenant.json<{ sandboxes: { id: string }[] }>(`/v1/sandboxes?state=${states}${order}`);
      return page.sandboxes.map(({ id }) => id);
    };
    expect(await list('&order=asc')).toEqual(native);
    expect(await list('&order=desc')).toEqual(native.toReversed());
    expect(await list('')).toEqual(native.toReversed());
    expect((await own.tenant.api('/v1/sandboxes?order=sideways')).status).toBe(400);
  });

  test('a limit outside of 1 to 200, a flag that is none and a cursor of somebody else’s making are 400', async () => {
    for (const query of ['limit=0', 'limit=201', 'limit=x', 'limit=1.5', 'limit=', 'limit=-1', 'time_desc=maybe']) {
      expect(failureOf(await own.send('GET', `/sandbox/logs?${query}`))).toEqual(failure(400, /parameter error/));
    }
    for (const cursor of ['x', 'W10', '%00', encodeURIComponent(btoa('["a",1]'))]) {
      expect(failureOf(await own.send('GET', `/sandbox/logs?cursor=${cursor}`))).toEqual(failure(400, /cursor/));
    }
  });
});
