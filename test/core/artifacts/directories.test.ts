import { expect, test } from 'vitest';
import { copyArtifacts } from '../../../worker/core/artifacts/copy-artifacts.ts';
import { listDirectory } from '../../../worker/core/artifacts/list-directory.ts';
import { moveArtifacts } from '../../../worker/core/artifacts/move-artifacts.ts';
import { removeDirectory } from '../../../worker/core/artifacts/remove-artifacts.ts';
import { deleteDisk } from '../../../worker/core/disks/delete-disk.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { diskWorld, put } from '../support/disk-world.ts';

type World = Awaited<ReturnType<typeof diskWorld>>;

const pathsOf = ({ rows, diskId }: World) =>
  rows<{ full: string }>(`select path || name as full from artifacts where disk_id = '${diskId}'`)
    .map(({ full }) => full)
    .toSorted();
const putAll = async (world: World, paths: readonly string[]) => {
  for (const path of paths) await put(world.ctx, world.diskId, path, path);
};

/** Many artifacts, cheaply: as many as `count` names of one blob. */
const fill = ({ database, diskId }: World, directory: string, count: number) =>
  database.database.exec(`with recursive n(i) as (select 1 union all select i + 1 from n limit ${count})
    insert into artifacts select lower(hex(randomblob(12))), '${diskId}', '${directory}', 'f' || i,
    (select id from blobs where condemned_at_ms is null limit 1), 1, 'text/plain', '{}', 'e' || i, 0, 0 from n`);

const walk = async (ctx: Context, diskId: string, directory: string, limit: number) => {
  const directories: string[] = [];
  const names: string[] = [];
  let pagesCount = 0;
  let cursor: string | undefined;
  do {
    const page = await listDirectory(ctx, diskId, directory, { cursor, limit });
    expect(page.directories.length + page.artifacts.length).toBeLessThanOrEqual(limit);
    directories.push(...page.directories);
    names.push(...page.artifacts.map(({ name }) => name));
    cursor = page.nextCursor ?? undefined;
    pagesCount += 1;
  } while (cursor !== undefined);
  return { directories, names, pagesCount };
};

test('a list has the directories right below, each once, and the artifacts by name, however it is paged', async () => {
  const world = await diskWorld();
  await putAll(world, [
    '/top',
    '/a/x',
    '/a/b/x',
    '/a/b/c/d/x',
    '/a/b-c/x',
    '/a/b0/x',
    '/a/ü/x',
    '/a/😀/x',
    '/a//x',
    '/a/%_/x',
    '/a/y',
    '/ab/x',
  ]);
  for (const limit of [1, 2, 3, 100]) {
    const { directories, names, pagesCount } = await walk(world.ctx, world.diskId, '/a/', limit);
    expect(directories.toSorted()).toEqual(['', '%_', 'b', 'b-c', 'b0', 'ü', '😀'].toSorted());
    expect(names).toEqual(['x', 'y']);
    expect(pagesCount).toBe(Math.ceil(9 / limit));
  }
  expect(await walk(world.ctx, world.diskId, '/', 100)).toMatchObject({ directories: ['a', 'ab'], names: ['top'] });
  expect(await walk(world.ctx, world.diskId, '/none/', 100)).toMatchObject({ directories: [], names: [] });
  const page = { cursor: 'nonsense', limit: 1 };
  await expect(listDirectory(world.ctx, world.diskId, '/', page)).rejects.toMatchObject({ code: 'invalid_argument' });
});

test('a removed directory takes what is below it along and nothing else', async () => {
  const world = await diskWorld();
  await putAll(world, ['/a/x', '/a/b/y', '/ab/z', '/a', '/a-']);
  expect(await removeDirectory(world.ctx, world.diskId, '/a/')).toBe(2);
  expect(pathsOf(world)).toEqual(['/a', '/a-', '/ab/z']);
  await expect(removeDirectory(world.ctx, world.diskId, '/a/')).rejects.toMatchObject({ code: 'not_found' });
  expect(await removeDirectory(world.ctx, world.diskId, '/')).toBe(3);
});

test('a move keeps what it moves, and a copy shares its bytes', async () => {
  const world = await diskWorld();
  await putAll(world, ['/a/x', '/a/b/y', '/ab/z']);
  const before = world.rows<{ id: string; etag: string }>(
    "select id, etag from artifacts where path like '/a/%' order by id",
  );
  const move = { source: '/a/', destination: '/new/place/', overwrite: false };
  expect(await moveArtifacts(world.ctx, world.diskId, move)).toBe(2);
  expect(pathsOf(world)).toEqual(['/ab/z', '/new/place/b/y', '/new/place/x']);
  expect(world.rows("select id, etag from artifacts where path like '/new/%' order by id")).toEqual(before);
  const copy = { source: '/new/place/', destination: '/a/', overwrite: false };
  expect(await copyArtifacts(world.ctx, world.diskId, copy)).toBe(2);
  expect(pathsOf(world)).toEqual(['/a/b/y', '/a/x', '/ab/z', '/new/place/b/y', '/new/place/x']);
  expect(world.rows('select refs, count(*) as n from blobs group by refs order by refs')).toEqual([
    { refs: 1, n: 1 },
    { refs: 2, n: 2 },
  ]);
  expect(world.rows('select count(distinct etag) as n from artifacts')).toEqual([{ n: 5 }]);
});

test.each([
  ['move', moveArtifacts],
  ['copy', copyArtifacts],
] as const)('a %s of one artifact, and its refusals, change all or nothing', async (_name, relocate) => {
  const world = await diskWorld();
  await putAll(world, ['/a/x', '/a/y', '/b/y', '/b/z']);
  const attempt = (source: string, destination: string, overwrite = false) =>
    relocate(world.ctx, world.diskId, { source, destination, overwrite });
  const before = pathsOf(world);
  const conflict = { code: 'conflict' };
  const invalid = { code: 'invalid_argument' };
  await expect(attempt('/a/', '/b/')).rejects.toMatchObject(conflict);
  await expect(attempt('/a/x', '/b/y')).rejects.toMatchObject(conflict);
  await expect(attempt('/a/x', '/a/x', true)).rejects.toMatchObject(invalid);
  await expect(attempt('/a/', '/a/', true)).rejects.toMatchObject(invalid);
  await expect(attempt('/a/', '/a/b/')).rejects.toMatchObject(invalid);
  await expect(attempt('/a/', '/')).rejects.toMatchObject(invalid);
  await expect(attempt('/a/', '/c')).rejects.toMatchObject(invalid);
  await expect(attempt('/a/x', '/c/')).rejects.toMatchObject(invalid);
  await expect(attempt('/a/', `/${'c'.repeat(1022)}/`)).rejects.toMatchObject(invalid);
  await expect(attempt('/none', '/c')).rejects.toMatchObject({ code: 'not_found' });
  await expect(attempt('/none/', '/c/', true)).rejects.toMatchObject({ code: 'not_found' });
  const other = world.contextOf('ten_two');
  const theirs = { source: '/a/', destination: '/b/', overwrite: true };
  await expect(relocate(other, world.diskId, theirs)).rejects.toMatchObject({ code: 'not_found' });
  expect(pathsOf(world)).toEqual(before);
  expect(await attempt('/a/', '/b/', true)).toBe(2);
  const kept = relocate === copyArtifacts ? ['/a/x', '/a/y'] : [];
  expect(pathsOf(world)).toEqual([...kept, '/b/x', '/b/y', '/b/z']);
  expect(await attempt('/b/z', '/c/new name')).toBe(1);
  expect(pathsOf(world)).toContain('/c/new name');
});

test('10,000 artifacts are moved and copied at once, one more is refused', async () => {
  const world = await diskWorld();
  await put(world.ctx, world.diskId, '/one', '1');
  fill(world, '/many/', 10_000);
  expect(
    await copyArtifacts(world.ctx, world.diskId, { source: '/many/', destination: '/more/', overwrite: true }),
  ).toBe(10_000);
  expect(
    await copyArtifacts(world.ctx, world.diskId, { source: '/many/', destination: '/more/', overwrite: true }),
  ).toBe(10_000);
  expect(
    await moveArtifacts(world.ctx, world.diskId, { source: '/many/', destination: '/moved/', overwrite: true }),
  ).toBe(10_000);
  await put(world.ctx, world.diskId, '/more/one', '1');
  const over = { source: '/more/', destination: '/over/', overwrite: false };
  await expect(copyArtifacts(world.ctx, world.diskId, over)).rejects.toThrow(/at most 10000/);
  await expect(moveArtifacts(world.ctx, world.diskId, over)).rejects.toThrow(/at most 10000/);
});

test('100,000 artifacts go with their disk, or with their directory', async () => {
  const world = await diskWorld();
  await put(world.ctx, world.diskId, '/one', '1');
  fill(world, '/many/', 100_000);
  expect(await removeDirectory(world.ctx, world.diskId, '/many/')).toBe(100_000);
  fill(world, '/again/', 100_000);
  await deleteDisk(world.ctx, world.diskId);
  expect(
    world.rows('select (select count(*) from artifacts) as artifacts, (select sum(refs) from blobs) as refs'),
  ).toEqual([{ artifacts: 0, refs: 0 }]);
  expect(world.rows('select bytes from tenant_storage')).toEqual([{ bytes: 0 }]);
});
