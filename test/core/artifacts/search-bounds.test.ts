import { beforeEach, expect, test, vi } from 'vitest';
import { openDirectory } from '../../../db/client.ts';
import { globArtifacts } from '../../../worker/core/artifacts/glob-artifacts.ts';
import { grepArtifacts } from '../../../worker/core/artifacts/grep-artifacts.ts';
import { MemoryBudget } from '../../../worker/core/artifacts/memory-budget.ts';
import type { StoredObject } from '../../../worker/core/object-store.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';

const diskId = '00000000000040008000000000000000';
const textsCount = 40;

/** What a search asks of the store is counted, and the clock is the test's. */
const clock = { nowMs: 0 };
let reads: string[];
let most: number;
let reading: number;
let client: AbortController;
let ctx: Context;
let database: SqliteD1['database'];

const read = async (key: string): Promise<StoredObject> => {
  reads.push(key);
  reading += 1;
  most = Math.max(most, reading);
  await new Promise((resolve) => setImmediate(resolve));
  reading -= 1;
  return { sizeBytes: 6, body: new Blob(['needle']).stream() };
};

beforeEach(() => {
  const d1 = new SqliteD1('directory');
  ({ database } = d1);
  database.exec(`
    insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds, requests_per_second)
      values ('own', 'own', 0, 1, 1, 1, 1, 1);
    insert into disks (id, tenant_id, purpose, name, metadata, created_at_ms, updated_at_ms)
      values ('${diskId}', 'own', 'disk', '', '{}', 0, 0)`);
  const blob = database.prepare(
    `insert into blobs (id, tenant_id, size_bytes, refs, created_at_ms) values (?, 'own', ?, 0, 0)`,
  );
  const artifact =
    database.prepare(`insert into artifacts (id, disk_id, path, name, blob_id, size_bytes, content_type, metadata,
    etag, created_at_ms, updated_at_ms) values (?, ?, ?, ?, ?, ?, 'text/plain', '{}', 'etag', 0, 0)`);
  const add = (directory: string, name: string, blobId: string, sizeBytes: number) => {
    artifact.run(`${directory}${name}`, diskId, directory, name, blobId, sizeBytes);
  };
  blob.run('same', 6);
  for (let index = 0; index < textsCount; index += 1) {
    const name = String(index).padStart(2, '0');
    blob.run(name, 6);
    blob.run(`large${name}`, 4 * 1024 * 1024);
    add('/texts/', name, name, 6);
    add('/same/', name, 'same', 6);
    add('/large/', name, `large${name}`, 4 * 1024 * 1024);
  }
  [reads, most, reading, clock.nowMs, client] = [[], 0, 0, 0, new AbortController()];
  const world = {
    directory: openDirectory(d1 as unknown as Parameters<typeof openDirectory>[0]),
    actor: { tenant: { id: 'own' } },
    objects: { get: read },
    bodyMemory: new MemoryBudget(48 * 1024 * 1024),
    signal: client.signal,
    after: () => undefined,
    now: () => clock.nowMs,
  };
  ctx = world as unknown as Context;
});

const grep = (directory: string, limit = 1000) =>
  grepArtifacts(ctx, diskId, 'needle', { flavour: 'native', limit, directory });

test('each text is read once, six at a time, and equal ones are one', async () => {
  expect((await grep('/texts/')).matches.length).toBe(textsCount);
  expect([reads.length, new Set(reads).size, most]).toEqual([textsCount, textsCount, 6]);
  reads = [];
  expect((await grep('/same/')).matches.length).toBe(textsCount);
  expect(reads).toEqual(['blobs/own/same']);
});

test('texts that take no time are not each followed by a pause: 1,000 of them took 2.5 s for it', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout');
  expect((await grep('/texts/')).matches.length).toBe(textsCount);
  expect(timers).not.toHaveBeenCalled();
  timers.mockRestore();
});

test('what has enough stops reading', async () => {
  const { matches, truncated } = await grep('/texts/', 3);
  expect([matches.length, truncated]).toEqual([3, true]);
  expect(reads.length).toBeLessThan(12);
});

test('a grep reads 128 MiB at most, and says that there is more', async () => {
  const { matches, truncated } = await grep('/large/');
  expect([matches.length, reads.length, truncated]).toEqual([32, 32, true]);
});

test('a grep that takes too long answers what it has, and says that there is more', async () => {
  const slow = ctx.objects.get.bind(ctx.objects);
  ctx.objects.get = async (key) => {
    clock.nowMs += 1000;
    return slow(key);
  };
  const { matches, truncated } = await grep('/texts/');
  expect(truncated).toBe(true);
  expect(matches.length).toBeGreaterThan(0);
  expect(reads.length).toBeLessThan(20);
});

test('a failure of the store is the answer’s, not a text that has no match', async () => {
  ctx.objects.get = (key) => (key.endsWith('07') ? Promise.reject(new Error('the store is away')) : read(key));
  await expect(grep('/texts/')).rejects.toThrow('the store is away');
});

test('a glob that takes too long is refused, and lets others have their turn meanwhile', async () => {
  const slow = `**/${'*a'.repeat(400)}x`;
  for (let index = 0; index < 100; index += 1) {
    database.exec(`insert into artifacts (id, disk_id, path, name, blob_id, size_bytes, content_type, metadata, etag, created_at_ms, updated_at_ms)
      values ('long${index}', '${diskId}', '/long/', '${'a'.repeat(900)}${index}', 'same', 6, 'text/plain', '{}', 'etag', 0, 0)`);
  }
  let turns = 0;
  const others = setInterval(() => (turns += 1), 1);
  expect(await globArtifacts(ctx, diskId, slow, { flavour: 'native', limit: 10 })).toEqual([]);
  clearInterval(others);
  expect(turns).toBeGreaterThan(5);
  ctx.now = () => (clock.nowMs += 6000);
  await expect(globArtifacts(ctx, diskId, slow, { flavour: 'native', limit: 10 })).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
});

test('a search for nobody ends', async () => {
  ctx.objects.get = (key) => {
    if (reads.length === 3) client.abort();
    return read(key);
  };
  await expect(grep('/texts/')).rejects.toThrow(/abort/i);
  expect(reads.length).toBeLessThan(12);
  await expect(globArtifacts(ctx, diskId, '**', { flavour: 'native', limit: 10 })).rejects.toThrow(/abort/i);
});
