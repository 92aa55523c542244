import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openDirectory } from '../../../db/client.ts';
import type { ObjectStore } from '../../../worker/core/object-store.ts';
import { sweepStorage, type ListPosition } from '../../../worker/core/storage/sweep-storage.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';

const hourMs = 3600_000;
const dayMs = 24 * hourMs;
const tenant = 'ten_sweep';

/** By a path that the compiler doesn't follow: the adapter is typed by workerd's globals, tests by Node's. */
const adapter = '../../../worker/adapters/object-store.ts';
const createStore = async (): Promise<ObjectStore> => {
  const { createObjectStore } = (await import(adapter)) as {
    createObjectStore: (env: unknown, settings: unknown) => ObjectStore;
  };
  return createObjectStore({ ARTIFACTS: bucket }, {});
};

let store: ObjectStore;
let miniflare: Miniflare;
let bucket: Awaited<ReturnType<Miniflare['getR2Bucket']>>;

beforeAll(async () => {
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'sweep',
      modules: true,
      script: 'export default { fetch: () => new Response() }',
      r2Buckets: ['ARTIFACTS'],
      telemetry: { enabled: false },
      cf: false,
    }),
  );
  bucket = await miniflare.getR2Bucket('ARTIFACTS');
  store = await createStore();
});
afterAll(() => miniflare.dispose());
afterEach(async () => {
  const { objects } = await bucket.list();
  await bucket.delete(objects.map(({ key }) => key));
});

/** The store, with smaller pages than R2's. */
const inPagesOf = (pageCount: number): ObjectStore => {
  const small = Object.create(store) as ObjectStore;
  small.list = (cursor) => store.list(cursor, pageCount);
  small.delete = (keys) => store.delete(keys);
  return small;
};

let ids = 0;
const newId = () => (ids += 1).toString(16).padStart(32, '0');
const keyOf = (id: string) => `blobs/${tenant}/${id}`;

const open = (pageCount?: number) => {
  const d1 = new SqliteD1('directory');
  const sql = d1.database;
  sql.exec(
    `insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds, requests_per_second)
      values ('${tenant}', 'sweep', 0, 1, 1, 1, 1, 1);
    insert into disks (id, tenant_id, purpose, name, metadata, created_at_ms, updated_at_ms) values ('disk', '${tenant}', 'disk', '', '{}', 0, 0)`,
  );
  const stores = {
    directory: openDirectory(d1 as unknown as Parameters<typeof openDirectory>[0]),
    objects: pageCount === undefined ? store : inPagesOf(pageCount),
  };
  const blob = async (id: string, refs: number, condemnedAtMs: number | null) => {
    sql.prepare('insert into blobs values (?, ?, null, 4, ?, 0, ?)').run(id, tenant, refs, condemnedAtMs);
    await bucket.put(keyOf(id), 'text');
  };
  const upload = async (id: string, diskId: string, expiresAtMs: number) => {
    const multipart = await bucket.createMultipartUpload(keyOf(id));
    sql
      .prepare(`insert into uploads values (?, ?, ?, '/', 'a', ?, ?, 5242880, null, null, 'relayed', 0, ?, null)`)
      .run(id, tenant, diskId, id, multipart.uploadId, expiresAtMs);
    sql.prepare(`insert into upload_parts values (?, 1, ?, 'etag', 'digest', 10)`).run(id, tenant);
    return multipart;
  };
  const column = (statement: string) =>
    sql
      .prepare(statement)
      .all()
      .map((row) => Object.values(row)[0]);
  return {
    sql,
    blob,
    upload,
    column,
    sweep: (nowMs: number, position: ListPosition | null = null) => sweepStorage(stores, nowMs, position),
  };
};

const keys = async () => (await bucket.list()).objects.map(({ key }) => key);

test('a condemned blob survives a day, then its bytes and its row go; what is in use stays', async () => {
  const nowMs = Date.now();
  const { blob, column, sweep } = open();
  const [old, fresh, used] = [newId(), newId(), newId()];
  await blob(old, 0, nowMs - dayMs);
  await blob(fresh, 0, nowMs - dayMs + 1);
  await blob(used, 1, null);
  expect(await sweep(nowMs)).toMatchObject({ deletedBlobs: 1, newOrphans: 0, listedObjects: 2 });
  expect(await keys()).toEqual([keyOf(fresh), keyOf(used)]);
  expect(column('select id from blobs order by id')).toEqual([fresh, used]);
  expect(await sweep(nowMs + 1)).toMatchObject({ deletedBlobs: 1 });
  expect(await sweep(nowMs + 2 * dayMs)).toMatchObject({ deletedBlobs: 0, newOrphans: 0 });
  expect(await keys()).toEqual([keyOf(used)]);
});

test('a run works off more than the store deletes at once', async () => {
  const nowMs = Date.now();
  const { column, sweep, sql } = open();
  const insert = sql.prepare('insert into blobs values (?, ?, null, 4, 0, 0, ?)');
  for (let count = 0; count < 2500; count += 1) insert.run(newId(), tenant, nowMs - dayMs);
  expect(await sweep(nowMs)).toMatchObject({ deletedBlobs: 2500 });
  expect(column('select count(*) from blobs')).toEqual([0]);
});

test('a row whose bytes are gone already goes as well', async () => {
  const nowMs = Date.now();
  const { blob, column, sweep } = open();
  const id = newId();
  await blob(id, 0, nowMs - dayMs);
  await bucket.delete(keyOf(id));
  expect(await sweep(nowMs)).toMatchObject({ deletedBlobs: 1 });
  expect(column('select count(*) from blobs')).toEqual([0]);
});

test('uploads that expired, or whose disk is gone, end with their parts, and give back what they took', async () => {
  const nowMs = Date.now();
  const { upload, column, sweep, sql } = open();
  const [expired, diskless, alive] = [newId(), newId(), newId()];
  const over = await upload(expired, 'disk', nowMs);
  await upload(diskless, 'gone', nowMs + hourMs);
  const going = await upload(alive, 'disk', nowMs + hourMs);
  expect(column('select bytes from tenant_storage')).toEqual([30]);
  expect(await sweep(nowMs)).toMatchObject({ endedUploads: 2 });
  expect(column('select id from uploads')).toEqual([alive]);
  expect(column('select bytes from tenant_storage')).toEqual([10]);
  await expect(over.uploadPart(1, 'text')).rejects.toThrow(/10024/);
  await going.uploadPart(1, 'text');
  sql.prepare(`update uploads set artifact_id = 'a', expires_at_ms = ? where id = ?`).run(nowMs, alive);
  // One that was completed only loses its row.
  expect(await sweep(nowMs)).toMatchObject({ endedUploads: 0 });
  expect(column('select id from uploads')).toEqual([]);
});

test('an object without a row is reported once, a day after it came, never deleted, and forgotten when it is gone', async () => {
  const nowMs = Date.now();
  const laterMs = nowMs + dayMs + hourMs;
  const { blob, upload, column, sweep } = open();
  const [used, uploading] = [newId(), newId()];
  await blob(used, 1, null);
  // As a complete leaves it that got as far as R2.
  await upload(uploading, 'disk', laterMs + hourMs);
  await bucket.put(keyOf(uploading), 'text');
  const stray = keyOf(newId());
  const foreign = `blobs/ten_other/${used}`;
  for (const key of [stray, foreign, 'odd']) await bucket.put(key, 'text');
  expect(await sweep(nowMs)).toMatchObject({ newOrphans: 0, listedObjects: 5 });
  expect(await sweep(laterMs)).toMatchObject({ newOrphans: 3, goneOrphans: 0 });
  expect(column('select key from orphans order by key')).toEqual([foreign, stray, 'odd']);
  expect(await sweep(laterMs)).toMatchObject({ newOrphans: 0, goneOrphans: 0 });
  expect(await keys()).toHaveLength(5);
  await bucket.delete([stray, 'odd']);
  expect(await sweep(laterMs)).toMatchObject({ newOrphans: 0, goneOrphans: 2 });
  expect(column('select key from orphans')).toEqual([foreign]);
});

test('the bucket is listed page by page, and each page forgets what is gone from its own stretch only', async () => {
  const laterMs = Date.now() + 2 * dayMs;
  const { column, sweep } = open(3);
  for (const key of ['k0', 'k1', 'k2', 'k3', 'k4']) await bucket.put(key, 'x');
  const first = await sweep(laterMs);
  expect(first).toMatchObject({ newOrphans: 3, next: { afterKey: 'k2' } });
  expect(await sweep(laterMs, first.next)).toMatchObject({ newOrphans: 2, goneOrphans: 0, next: null });
  await bucket.delete(['k0', 'k4']);
  for (const key of ['k5', 'k6']) await bucket.put(key, 'x');
  const again = await sweep(laterMs);
  expect(again).toMatchObject({ newOrphans: 0, goneOrphans: 1, next: { afterKey: 'k3' } });
  expect(column('select key from orphans order by key')).toEqual(['k1', 'k2', 'k3', 'k4']);
  expect(await sweep(laterMs, again.next)).toMatchObject({ newOrphans: 2, goneOrphans: 1, next: null });
  expect(column('select key from orphans order by key')).toEqual(['k1', 'k2', 'k3', 'k5', 'k6']);
});

test('the disk of a skill whose making was broken off goes a day later; skills’ and other disks stay', async () => {
  const nowMs = Date.now();
  const { column, sweep, sql } = open();
  const disk = (id: string, purpose: string, createdAtMs: number) =>
    sql.prepare(`insert into disks values (?, ?, null, ?, '', '{}', ?, 0)`).run(id, tenant, purpose, createdAtMs);
  disk('broken-off', 'skill', nowMs - dayMs);
  disk('being-made', 'skill', nowMs - dayMs + 1);
  disk('of-a-skill', 'skill', nowMs - dayMs);
  sql.prepare(`insert into skills values ('skill', ?, null, 'of-a-skill', 'name', 'text', null, 0, 0)`).run(tenant);
  expect(await sweep(nowMs)).toMatchObject({ deletedDisks: 1 });
  expect(column('select id from disks order by id')).toEqual(['being-made', 'disk', 'of-a-skill']);
});
