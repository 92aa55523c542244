import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDirectory } from '../../../db/client.ts';
import { artifactsAt } from '../../../worker/core/artifacts/artifacts-at.ts';
import { listPaths, splitPath } from '../../../worker/core/artifacts/list-paths.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';

const ownId = 'a'.repeat(32);
const foreignId = 'b'.repeat(32);

/** As much of a request as looking paths up takes, over a database that holds these on two tenants' disks. */
const holding = (fullPaths: readonly string[]): Context => {
  const d1 = new SqliteD1('directory');
  const { database } = d1;
  const tenant =
    database.prepare(`insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib,
    max_ttl_seconds, requests_per_second) values (?, 'test', 0, 1, 1, 1, 1, 1)`);
  const disk =
    database.prepare(`insert into disks (id, tenant_id, purpose, name, metadata, created_at_ms, updated_at_ms)
    values (?, ?, 'disk', '', '{}', 0, 0)`);
  const artifact =
    database.prepare(`insert into artifacts (id, disk_id, path, name, blob_id, size_bytes, content_type, metadata,
    etag, created_at_ms, updated_at_ms) values (?, ?, ?, ?, 'blob', 1, 'text/plain', '{}', 'etag', 0, 0)`);
  tenant.run('own');
  tenant.run('other');
  disk.run(ownId, 'own');
  disk.run(foreignId, 'other');
  database.exec(
    `insert into blobs (id, tenant_id, size_bytes, refs, created_at_ms) values ('blob', 'own', 1, 0, 0); begin`,
  );
  for (const diskId of [ownId, foreignId]) {
    for (const fullPath of fullPaths) {
      const { path, name } = splitPath(fullPath);
      artifact.run(`${diskId}${fullPath}`, diskId, path, name);
    }
  }
  database.exec('commit');
  const world = {
    directory: openDirectory(d1 as unknown as Parameters<typeof openDirectory>[0]),
    actor: { tenant: { id: 'own' } },
  };
  return world as unknown as Context;
};

const pagesOf = async (ctx: Context, diskId: string, prefix: string): Promise<string[][]> => {
  const pages: string[][] = [];
  for await (const page of listPaths(ctx, diskId, prefix)) pages.push(page);
  return pages;
};

const letter = fc.constantFrom('a', 'b', '_', '%', '"', '\\', 'é', '😀', '\uffff');
const word = fc.string({ unit: letter, maxLength: 3 });
const fullPath = fc
  .tuple(fc.array(word, { maxLength: 3 }), fc.string({ unit: letter, minLength: 1, maxLength: 3 }))
  .map(([directories, name]) => `/${directories.map((directory) => `${directory}/`).join('')}${name}`);

test('what begins with a prefix is listed, all of it, once, and nothing else', () =>
  fc.assert(
    fc.asyncProperty(fc.uniqueArray(fullPath, { maxLength: 40 }), fullPath, fc.nat(8), async (paths, other, length) => {
      const ctx = holding(paths);
      for (const prefix of [other.slice(0, length), paths[0]?.slice(0, length) ?? '', ''].map((text) =>
        text.toWellFormed(),
      )) {
        const listed = (await pagesOf(ctx, ownId, prefix)).flat();
        expect(listed.toSorted()).toEqual(paths.filter((path) => path.startsWith(prefix)).toSorted());
        const places = listed.map(splitPath);
        const rows = await artifactsAt(ctx, ownId, places);
        expect(rows.map(({ path, name }) => path + name)).toEqual(listed);
      }
    }),
    { numRuns: 50 },
  ));

test('another tenant’s disk has no paths', async () => {
  const ctx = holding(['/a/b']);
  expect(await pagesOf(ctx, ownId, '/')).toEqual([['/a/b']]);
  expect(await pagesOf(ctx, foreignId, '/')).toEqual([]);
});

test('a page stays under 2 MB of JSON however its paths are spelled, and the pages are the whole', async () => {
  const directory = `/${'\u0001'.repeat(900)}/`;
  const paths = Array.from({ length: 1200 }, (_, index) => `${directory}${String(index).padStart(5, '0')}`);
  const pages = await pagesOf(holding(paths), ownId, '/');
  expect(pages.length).toBeGreaterThan(1);
  for (const page of pages) expect(JSON.stringify(page).length).toBeLessThan(2_000_000);
  expect(pages.flat()).toEqual(paths);
});

test('more than a page of short paths are listed whole', async () => {
  const paths = Array.from({ length: 20_001 }, (_, index) => `/d/${String(index).padStart(6, '0')}`);
  const pages = await pagesOf(holding(paths), ownId, '/d/0');
  expect(pages.map(({ length }) => length)).toEqual([10_000, 10_000, 1]);
  expect(pages.flat()).toEqual(paths);
});
