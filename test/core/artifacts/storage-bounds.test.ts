import { expect, test } from 'vitest';
import { parseArtifactPath } from '../../../worker/core/artifacts/artifact-path.ts';
import { changeArtifact } from '../../../worker/core/artifacts/change-artifact.ts';
import { copyArtifacts } from '../../../worker/core/artifacts/copy-artifacts.ts';
import { moveArtifacts } from '../../../worker/core/artifacts/move-artifacts.ts';
import { removeDirectory } from '../../../worker/core/artifacts/remove-artifacts.ts';
import { databaseSays } from '../../../worker/core/database-says.ts';
import { changeDisk } from '../../../worker/core/disks/change-disk.ts';
import { createDisk } from '../../../worker/core/disks/create-disk.ts';
import { deleteDisk } from '../../../worker/core/disks/delete-disk.ts';
import { createUpload } from '../../../worker/core/uploads/create-upload.ts';
import { diskWorld, put } from '../support/disk-world.ts';
import { wrongSums } from '../support/storage-sums.ts';

/** By a path that the compiler doesn't follow: it is typed by workerd's globals, tests by Node's. */
const renderer = '../../../worker/api/render-error.ts';
const { toServiceError } = (await import(renderer)) as {
  toServiceError: (error: unknown) => { code: string; status: number; message: string };
};
const refusalOf = async (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => {
      const { code, status, message } = toServiceError(error);
      return { code, status, message };
    },
  );
const recordsRefused = { code: 'quota_exceeded', status: 429, message: expect.stringContaining('512 MiB') };
const dayRefused = { code: 'quota_exceeded', status: 429, message: expect.stringContaining('counts for a day') };
const limitRefused = { code: 'quota_exceeded', status: 429, message: expect.stringContaining("The tenant's limit is") };

type World = Awaited<ReturnType<typeof diskWorld>>;
/** As if the tenant had so much besides. */
const pretend = ({ database }: World, column: string, value: number): void => {
  database.database.prepare(`update tenant_storage set ${column} = ? where tenant_id = 'ten_one'`).run(value);
};
const metadata = { text: 'x'.repeat(16_000) };

test('a tenant that doubles a directory of large metadata is stopped; it can delete, and another tenant still works', async () => {
  const world = await diskWorld();
  const { ctx, diskId, rows } = world;
  const other = world.contextOf('ten_two');
  const otherDisk = await world.newDisk(other);
  for (let count = 0; count < 500; count += 1) await put(ctx, diskId, `/0/${count}`, 'same', { metadata });
  let copiesCount = 0;
  let refusal: unknown = 'done';
  for (; refusal === 'done' && copiesCount < 100; copiesCount += 1) {
    refusal = await refusalOf(
      copyArtifacts(ctx, diskId, { source: '/0/', destination: `/${copiesCount + 1}/`, overwrite: false }),
    );
  }
  expect(refusal).toEqual(recordsRefused);
  // 64 directories of 500 × 16.5 KB fit, the first and 63 copies; the 64th copy was refused.
  expect(copiesCount).toBe(64);
  expect(rows(wrongSums)).toEqual([]);
  await put(other, otherDisk, '/a', 'text', { metadata });
  expect(await removeDirectory(ctx, diskId, '/1/')).toBe(500);
  expect(await copyArtifacts(ctx, diskId, { source: '/0/', destination: '/1/', overwrite: false })).toBe(500);
  await deleteDisk(ctx, diskId);
  expect(rows(wrongSums)).toEqual([]);
  expect(rows("select record_bytes from tenant_storage where tenant_id = 'ten_one'")).toEqual([{ record_bytes: 0 }]);
});

test('with its records used up a tenant makes and enlarges nothing, leaves no bytes behind, and makes things smaller', async () => {
  const world = await diskWorld();
  const { ctx, diskId, objects, rows } = world;
  await put(ctx, diskId, '/a', 'text', { metadata: { n: 1 } });
  await world.settled();
  pretend(world, 'record_bytes', 536_870_912);
  const place = parseArtifactPath('/a');
  const upload = { ...parseArtifactPath('/u'), partBytes: 8, way: 'relayed' as const };
  const aborted: string[] = [];
  const abortMultipart = async (key: string) => void aborted.push(key);
  const counting = { ...ctx, objects: { ...ctx.objects, abortMultipart } };
  const growing = [
    () => put(ctx, diskId, '/b', 'more'),
    () => put(ctx, diskId, '/a', 'over', { metadata: { n: 22 } }),
    () => copyArtifacts(ctx, diskId, { source: '/a', destination: '/b', overwrite: true }),
    () => moveArtifacts(ctx, diskId, { source: '/a', destination: '/longer', overwrite: false }),
    () => changeArtifact(ctx, diskId, place, { metadata: { n: 22 } }),
    () => createDisk(ctx, { name: '', metadata: {}, user: undefined }),
    () => createDisk(ctx, { name: '', metadata: {}, user: 'new' }),
    () => changeDisk(ctx, diskId, { name: 'longer', metadata: undefined }),
    () => createUpload(counting, diskId, { ...upload, contentType: undefined, metadata: undefined }),
  ];
  for (const work of growing) expect(await refusalOf(work())).toEqual(recordsRefused);
  await world.settled();
  expect([objects.size, aborted.length]).toEqual([1, 1]);
  expect(rows('select path, name from artifacts')).toEqual([{ path: '/', name: 'a' }]);
  await put(ctx, diskId, '/a', 'over');
  await changeArtifact(ctx, diskId, place, { metadata: {} });
  await removeDirectory(ctx, diskId, '/');
});

test('a skill counts with its texts, whoever changes it, until its disk takes it along', async () => {
  const { diskId, database, rows } = await diskWorld();
  database.database
    .prepare("insert into skills values ('s', 'ten_one', null, ?, 'näme', 'text', null, 0, 0)")
    .run(diskId);
  expect(rows(wrongSums)).toEqual([]);
  database.database.exec(`update skills set description = 'another', metadata = '{"a":1}'`);
  expect(rows(wrongSums)).toEqual([]);
  database.database.exec('delete from disks');
  expect(rows('select record_bytes from tenant_storage')).toEqual([{ record_bytes: 0 }]);
});

test('what was overwritten or deleted counts for a day: with what lives at most twice the limit, and a million contents', async () => {
  const world = await diskWorld({ maxStorageBytes: 1024 ** 3 });
  const { ctx, diskId } = world;
  await put(ctx, diskId, '/a', '12345');
  // Five bytes live, and an overwrite frees them for the limit only: they stay in R2.
  pretend(world, 'condemned_bytes', 2 * 1024 ** 3 - 9);
  expect(await refusalOf(put(ctx, diskId, '/a', '67890'))).toEqual(dayRefused);
  await put(ctx, diskId, '/a', '6789');
  expect(await refusalOf(put(ctx, diskId, '/a', '1'))).toEqual(dayRefused);
  // Content that is there already adds nothing.
  await put(ctx, diskId, '/b', '6789');
  await removeDirectory(ctx, diskId, '/');
  pretend(world, 'condemned_bytes', 0);
  pretend(world, 'condemned_count', 1_000_000);
  expect(await refusalOf(put(ctx, diskId, '/c', '1'))).toEqual(dayRefused);
  pretend(world, 'condemned_count', 999_999);
  await put(ctx, diskId, '/c', '1');
  await world.settled();
});

test('a small limit is not used up by a few overwrites, and what is over it is told as that', async () => {
  const world = await diskWorld({ maxStorageBytes: 10 });
  for (const text of ['1234567890', '2345678901', '3456789012', '4567890123']) {
    await put(world.ctx, world.diskId, '/a', text);
  }
  expect(await refusalOf(put(world.ctx, world.diskId, '/b', '1'))).toEqual(limitRefused);
});

test('a word of the database counts only where the database says it', () => {
  const cause = new Error('D1_ERROR: no such table: x');
  const quoting = new Error('Failed query: insert … params: records_exceeded', { cause });
  expect(databaseSays(quoting, 'records_exceeded')).toBe(false);
  const refused = new Error('D1_ERROR: records_exceeded: SQLITE_CONSTRAINT');
  expect(databaseSays(new Error('Failed query', { cause: refused }), 'records_exceeded')).toBe(true);
});
