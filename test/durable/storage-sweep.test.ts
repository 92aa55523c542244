import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestRedis, type TestRedis } from '../runner/support/redis-server.ts';
import { waitFor } from '../wait-for.ts';
import { startTestControlPlane, type TestControlPlane } from './support/control-plane.ts';
import { beat, emptyBeat, joined } from './support/joined.ts';

let redis: TestRedis;
let plane: TestControlPlane;

beforeAll(async () => {
  redis = await startTestRedis();
  plane = await startTestControlPlane(redis.url);
});
afterAll(async () => {
  await plane?.stop();
  await redis?.close();
});

test('a cell that is awake sweeps the storage by itself', async () => {
  const [condemned, used] = ['a'.repeat(32), 'b'.repeat(32)];
  const key = (id: string) => `blobs/ten_1/${id}`;
  const blob = async (id: string, refs: number, condemnedAtMs: number | null) => {
    await plane.directorySql(
      'insert into blobs (id, tenant_id, size_bytes, refs, created_at_ms, condemned_at_ms) values (?, ?, 4, ?, 0, ?)',
      id,
      'ten_1',
      refs,
      condemnedAtMs,
    );
    await plane.bucket.put(key(id), 'text');
  };
  await blob(condemned, 0, Date.now() - 25 * 3600_000);
  await blob(used, 1, null);
  await plane.directorySql(
    `insert into uploads (id, tenant_id, disk_id, path, name, blob_id, multipart_id, part_bytes, way, created_at_ms, expires_at_ms)
      values ('expired', 'ten_1', 'disk', '/', 'a', ?, ?, 5242880, 'relayed', 0, 1)`,
    'c'.repeat(32),
    (await plane.bucket.createMultipartUpload(key('c'.repeat(32)))).uploadId,
  );
  await beat(plane, await joined(plane), emptyBeat());
  const rows = async (table: string) => (await plane.directorySql(`select id from ${table}`)).map(({ id }) => id);
  await waitFor('the sweep', async () => (await rows('uploads')).length === 0, 20_000);
  expect(await rows('blobs')).toEqual([used]);
  expect((await plane.bucket.list()).objects.map((object) => object.key)).toEqual([key(used)]);
}, 60_000);
