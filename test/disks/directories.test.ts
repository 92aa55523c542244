import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

interface Directory {
  directories: string[];
  artifacts: { name: string; path: string; etag: string; metadata: Record<string, unknown> }[];
  nextCursor: string | null;
}

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
});
beforeEach(async () => {
  disk = await createOwnDisk(tenant);
});
afterAll(() => tenant.cleanUp());

const list = (path: string, query = '') => disk.json<Directory>(`?path=${encodeURIComponent(path)}${query}`);
const putAll = async (paths: readonly string[]) => {
  for (const path of paths) await disk.put(path, path);
};
const relocate = (verb: 'move' | 'copy', source: string, destination: string, overwrite = false) =>
  disk.api(`/${verb}`, { method: 'POST', json: { source, destination, overwrite } });
const codeOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: { code: string } };
  return { status: response.status, code: error.code };
};
const textOf = async (path: string) => (await disk.api(`/content?path=${encodeURIComponent(path)}`)).text();
/** Every artifact's path. */
const tree = async (path = '/'): Promise<string[]> => {
  const { directories, artifacts } = await list(path, '&limit=1000');
  const below = await Promise.all(directories.map((name) => tree(`${path}${name}/`)));
  return [...artifacts.map((artifact) => artifact.path), ...below.flat()].toSorted();
};

test('a list has what lies right in the directory, by the page, and an unknown directory is empty', async () => {
  await putAll(['/top', '/a/1', '/a/2', '/a/ü/x', '/a/b/c/d', '/a/b/e', '/ab/x']);
  const all = await list('/a/');
  expect(all.directories).toEqual(['b', 'ü']);
  expect(all.artifacts.map(({ path }) => path)).toEqual(['/a/1', '/a/2']);
  expect(all.nextCursor).toBeNull();
  const seen: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const page: Directory = await list('/a/', `&limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
    seen.push(...page.directories, ...page.artifacts.map(({ name }) => name));
    cursor = page.nextCursor;
  }
  expect(seen).toEqual(['b', 'ü', '1', '2']);
  expect(await disk.json('')).toMatchObject({ directories: ['a', 'ab'], artifacts: [{ name: 'top' }] });
  expect(await list('/none/')).toEqual({ directories: [], artifacts: [], nextCursor: null });
  for (const query of ['?path=/a', '?path=a/', '?path=/a/&limit=1001', '?path=/a/&cursor=x', '?path=/../']) {
    expect(await codeOf(await disk.api(query))).toEqual({ status: 400, code: 'invalid_argument' });
  }
});

test('a directory is removed when that is said, with all below it', async () => {
  await putAll(['/a/1', '/a/b/2', '/ab/3']);
  const remove = (query: string) => disk.api(query, { method: 'DELETE' });
  expect(await codeOf(await remove('?path=/a/'))).toEqual({ status: 400, code: 'invalid_argument' });
  expect(await (await remove('?path=/a/&recursive=true')).json()).toEqual({ artifactsCount: 2 });
  expect(await tree()).toEqual(['/ab/3']);
  expect(await codeOf(await remove('?path=/a/&recursive=true'))).toEqual({ status: 404, code: 'not_found' });
  expect(await codeOf(await remove('?path=/a/1'))).toEqual({ status: 404, code: 'not_found' });
});

test('what is moved keeps its ETag and metadata, what is copied has its own', async () => {
  await putAll(['/a/1', '/a/b/2']);
  await disk.json('?path=/a/1', { method: 'PATCH', json: { metadata: { kept: true } } });
  const [before] = (await list('/a/')).artifacts;
  expect(await (await relocate('move', '/a/', '/new/place/')).json()).toEqual({ artifactsCount: 2 });
  expect(await tree()).toEqual(['/new/place/1', '/new/place/b/2']);
  const [moved] = (await list('/new/place/')).artifacts;
  expect(moved).toMatchObject({ etag: before?.etag, metadata: { kept: true } });
  expect(await (await relocate('copy', '/new/place/1', '/copy')).json()).toEqual({ artifactsCount: 1 });
  const [copied] = (await list('/')).artifacts;
  expect(copied).toMatchObject({ path: '/copy', metadata: { kept: true } });
  expect(copied?.etag).not.toBe(before?.etag);
  await disk.put('/new/place/1', 'changed');
  expect(await textOf('/copy')).toBe('/a/1');
});

test.each(['move', 'copy'] as const)('a %s replaces only when that is said, and all of it or nothing', async (verb) => {
  await putAll(['/a/x', '/a/y', '/b/y', '/b/z']);
  const before = await tree();
  const invalid = { status: 400, code: 'invalid_argument' };
  expect(await codeOf(await relocate(verb, '/a/', '/b/'))).toEqual({ status: 409, code: 'conflict' });
  for (const [source, destination] of [
    ['/a/', '/a/b/'],
    ['/a/', '/'],
    ['/a/', '/c'],
    ['/a/x', '/a/x'],
    ['a/x', '/c'],
  ] as const) {
    expect(await codeOf(await relocate(verb, source, destination, true))).toEqual(invalid);
  }
  expect(await codeOf(await relocate(verb, '/none/', '/c/'))).toEqual({ status: 404, code: 'not_found' });
  expect(await tree()).toEqual(before);
  expect(await textOf('/b/y')).toBe('/b/y');
  expect(await (await relocate(verb, '/a/', '/b/', true)).json()).toEqual({ artifactsCount: 2 });
  expect(await textOf('/b/y')).toBe('/a/y');
  expect(await tree()).toEqual([...(verb === 'copy' ? ['/a/x', '/a/y'] : []), '/b/x', '/b/y', '/b/z']);
});

test('10,000 artifacts in a disk are listed, copied, moved and removed; 10,001 are refused', async () => {
  await putAll(Array.from({ length: 10 }, (_, index) => `/ten/0/${index}`));
  for (let index = 1; index < 10; index += 1) {
    expect((await relocate('copy', '/ten/0/', `/ten/${index}/`)).status).toBe(200);
  }
  const fill = async (from: string, to: string) => {
    for (let index = 0; index < 10; index += 1)
      expect((await relocate('copy', from, `${to}${index}/`)).status).toBe(200);
  };
  await fill('/ten/', '/hundreds/');
  await fill('/hundreds/', '/all/');
  const { directories } = await list('/all/');
  expect(directories).toEqual(Array.from({ length: 10 }, (_, index) => String(index)));
  expect(await (await relocate('copy', '/all/', '/more/')).json()).toEqual({ artifactsCount: 10_000 });
  expect(await (await relocate('move', '/more/', '/moved/')).json()).toEqual({ artifactsCount: 10_000 });
  await disk.put('/moved/one', 'more');
  expect(await codeOf(await relocate('move', '/moved/', '/x/'))).toEqual({ status: 400, code: 'invalid_argument' });
  const removed = await disk.api('?path=/&recursive=true', { method: 'DELETE' });
  expect(await removed.json()).toEqual({ artifactsCount: 100 + 1_000 + 20_001 });
});
