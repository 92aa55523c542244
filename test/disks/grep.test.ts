import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

interface Answer {
  matches: { artifact: { path: string }; lines: { line: number; text: string }[] }[];
  skipped: string[];
  truncated: boolean;
}

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
  disk = await createOwnDisk(tenant);
  await disk.put('/src/main.py', 'import os\r\n\r\n# TODO: größer\r\nprint(1)\r\n');
  await disk.put('/src/lib/tool.ts', 'export const todo = 1;\nexport const done = 2;');
  await disk.put('/notes.md', '# Notes\nnothing to do');
  await disk.put(
    '/picture.png',
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, ...Buffer.from('TODO')]),
  );
});
afterAll(() => tenant.cleanUp());

const search = (query: Record<string, string | number | boolean>): string =>
  `/grep?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString()}`;
const grep = (query: Record<string, string | number | boolean>): Promise<Answer> => disk.json<Answer>(search(query));
const pathsOf = ({ matches }: Answer): string[] => matches.map(({ artifact }) => artifact.path);

test('the lines that match are told with their numbers, of texts only', async () => {
  expect(await grep({ pattern: 'TODO' })).toEqual({
    matches: [
      { artifact: expect.objectContaining({ path: '/src/main.py' }), lines: [{ line: 3, text: '# TODO: größer' }] },
    ],
    skipped: [],
    truncated: false,
  });
  const { matches } = await grep({ pattern: '^export const (\\w+) =' });
  expect(matches.map(({ lines }) => lines.map(({ line }) => line))).toEqual([[1, 2]]);
});

test('case counts unless it is told not to', async () => {
  expect(pathsOf(await grep({ pattern: 'todo' }))).toEqual(['/src/lib/tool.ts']);
  expect(pathsOf(await grep({ pattern: 'todo', ignoreCase: true }))).toEqual(['/src/main.py', '/src/lib/tool.ts']);
  expect(pathsOf(await grep({ pattern: 'GRÖSSER|GRÖßER', ignoreCase: true }))).toEqual(['/src/main.py']);
});

test('a directory and a limit narrow it down, and the answer says that there is more', async () => {
  expect(pathsOf(await grep({ pattern: 'o', path: '/src/' }))).toEqual(['/src/main.py', '/src/lib/tool.ts']);
  expect(pathsOf(await grep({ pattern: 'o', path: '/src/lib/' }))).toEqual(['/src/lib/tool.ts']);
  const first = await grep({ pattern: 'o', limit: 1 });
  expect([pathsOf(first), first.truncated]).toEqual([['/notes.md'], true]);
  const all = await grep({ pattern: 'o', limit: 3 });
  expect([pathsOf(all), all.truncated]).toEqual([['/notes.md', '/src/main.py', '/src/lib/tool.ts'], false]);
  expect((await disk.api(search({ pattern: 'o', path: '/src' }))).status).toBe(400);
});

test('equal texts are all found, and an overwritten one is searched as it is now', async () => {
  for (const name of ['one', 'two', 'three']) await disk.put(`/same/${name}.txt`, 'the very same needle');
  expect(pathsOf(await grep({ pattern: 'needle', path: '/same/' }))).toEqual([
    '/same/one.txt',
    '/same/three.txt',
    '/same/two.txt',
  ]);
  await disk.put('/same/two.txt', 'something else');
  expect(pathsOf(await grep({ pattern: 'needle', path: '/same/' }))).toEqual(['/same/one.txt', '/same/three.txt']);
});

test('a text over 4 MiB is skipped, and said to be; many lines and long ones are cut', async () => {
  await disk.put('/large/over.txt', 'needle\n'.repeat((4 * 1024 * 1024) / 7 + 1));
  await disk.put('/large/lines.txt', `${'x'.repeat(600)} needle\n`.repeat(150));
  const { matches, skipped, truncated } = await grep({ pattern: 'needle', path: '/large/' });
  expect([skipped, truncated]).toEqual([['/large/over.txt'], false]);
  expect(matches.map(({ lines }) => [lines.length, lines[99]?.text.length])).toEqual([[100, 500]]);
});

test('hundreds of texts are searched within a second or so, in order', async () => {
  const names = Array.from({ length: 200 }, (_, index) => `/many/${String(index).padStart(4, '0')}.txt`);
  for (let from = 0; from < names.length; from += 20) {
    await Promise.all(names.slice(from, from + 20).map((path) => disk.put(path, `this is ${path}`)));
  }
  expect(pathsOf(await grep({ pattern: 'this is /many/\\d', path: '/many/', limit: 1000 }))).toEqual(names);
});

test('a pattern that can’t be read is refused, and one that would back-track elsewhere is not slow', async () => {
  for (const pattern of ['', '(', 'a{2000}', '(?=a)', 'a\\nb']) {
    expect([pattern, (await disk.api(search({ pattern }))).status]).toEqual([pattern, 400]);
  }
  await disk.put('/slow/a.txt', 'a'.repeat(20_000));
  const startedAt = performance.now();
  expect(pathsOf(await grep({ pattern: '^(a+)+$b', path: '/slow/' }))).toEqual([]);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test('another tenant’s disk is a missing one', async () => {
  const other = await createTenant();
  const response = await other.api(`/v1/disks/${disk.id}/artifacts${search({ pattern: 'TODO' })}`);
  const { error } = (await response.json()) as { error: { message: string } };
  expect([response.status, error.message]).toEqual([404, `There is no disk with the id ${disk.id}.`]);
});
