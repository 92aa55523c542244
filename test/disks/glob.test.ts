import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

interface Found {
  artifacts: { name: string; path: string; sizeBytes: number; etag: string }[];
}

/** By directory, then by name. */
const paths = [
  '/a.md',
  '/b.py',
  '/docs/A.md',
  '/docs/a.md',
  '/docs/über 100%.md',
  '/docs/deep/x_y.md',
  '/docs/deep/xzy.md',
  '/docs/deep/er/a.md',
  '/src/main.py',
];

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
  disk = await createOwnDisk(tenant);
  for (const path of paths) await disk.put(path, `content of ${path}`);
});
afterAll(() => tenant.cleanUp());

const search = (pattern: string, limit?: number): string =>
  `/glob?pattern=${encodeURIComponent(pattern)}${limit === undefined ? '' : `&limit=${limit}`}`;
const glob = async (pattern: string, limit?: number): Promise<string[]> => {
  const { artifacts } = await disk.json<Found>(search(pattern, limit));
  return artifacts.map(({ path }) => path);
};

test('a star stays within a name, two go across directories, and both begin at the root', async () => {
  expect(await glob('*.md')).toEqual(['/a.md']);
  expect(await glob('/*.md')).toEqual(['/a.md']);
  expect(await glob('/docs/*.md')).toEqual(['/docs/A.md', '/docs/a.md', '/docs/über 100%.md']);
  expect(await glob('**/a.md')).toEqual(['/a.md', '/docs/a.md', '/docs/deep/er/a.md']);
  expect(await glob('**/*.py')).toEqual(['/b.py', '/src/main.py']);
  expect(await glob('/docs/{deep,no}/x?y.md')).toEqual(['/docs/deep/x_y.md', '/docs/deep/xzy.md']);
});

test('_ and % stand for themselves, and case counts', async () => {
  expect(await glob('/docs/deep/x_y.md')).toEqual(['/docs/deep/x_y.md']);
  expect(await glob('/docs/*%.md')).toEqual(['/docs/über 100%.md']);
  expect(await glob('/docs/[A-Z].md')).toEqual(['/docs/A.md']);
});

test('a pattern without a wildcard is the artifact itself, or nothing', async () => {
  expect(await glob('/src/main.py')).toEqual(['/src/main.py']);
  expect(await glob('/src/main.p')).toEqual([]);
  expect(await glob('/src/')).toEqual([]);
});

test('the answer is sorted by directory and name, the first ones where there is a limit, each whole', async () => {
  expect(await glob('**')).toEqual(paths);
  expect(await glob('**', 3)).toEqual(paths.slice(0, 3));
  const { artifacts } = await disk.json<Found>(search('/b.py'));
  expect(artifacts).toEqual([
    {
      name: 'b.py',
      path: '/b.py',
      sizeBytes: 'content of /b.py'.length,
      contentType: 'text/x-python; charset=utf-8',
      metadata: {},
      etag: expect.stringMatching(/^"[0-9a-f]+"$/) as string,
      createdAt: expect.any(String) as string,
      updatedAt: expect.any(String) as string,
    },
  ]);
});

test('a pattern that can’t be read and a limit out of its bounds are refused', async () => {
  for (const pattern of ['', '[a', '{a', 'a\\', 'x'.repeat(1025)]) {
    expect([pattern, (await disk.api(search(pattern))).status]).toEqual([pattern, 400]);
  }
  for (const limit of [0, 1001, 1.5]) expect((await disk.api(search('*', limit))).status).toBe(400);
  expect((await disk.api('/glob')).status).toBe(400);
});

test('another tenant’s disk is a missing one', async () => {
  const other = await createTenant();
  const missing = `${disk.id.slice(0, -4)}${disk.id.endsWith('0000') ? '1111' : '0000'}`;
  for (const id of [disk.id, missing]) {
    const response = await other.api(`/v1/disks/${id}/artifacts${search('**')}`);
    const { error } = (await response.json()) as { error: { message: string } };
    expect([response.status, error.message]).toEqual([404, `There is no disk with the id ${id}.`]);
  }
});
