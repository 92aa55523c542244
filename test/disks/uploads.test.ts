import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf } from '../exec/calls.ts';
import { createTenant, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';
import {
  beginUpload,
  contentOf,
  MIB,
  PART,
  randomParts,
  sha256,
  storedBytes,
  type ArtifactView,
} from './own-upload.ts';

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
  disk = await createOwnDisk(tenant);
});
afterAll(() => tenant.cleanUp());

const stored = (of: TestTenant = tenant) => storedBytes(() => of.json('/v1/me'));
const stat = (path: string) => disk.api(`/stat?path=${encodeURIComponent(path)}`);

test('parts in any order and at once become one artifact, which nobody sees before', async () => {
  const parts = randomParts(3);
  const upload = await beginUpload(disk, { path: '/big/any-order.bin', metadata: { run: 7 } });
  await upload.put(3, parts[2] ?? '');
  await Promise.all([upload.put(2, parts[1] ?? ''), upload.put(1, parts[0] ?? '')]);
  expect((await stat('/big/any-order.bin')).status).toBe(404);
  const artifact = await upload.completed(3);
  expect(artifact).toMatchObject({ path: '/big/any-order.bin', sizeBytes: 2 * PART + 1000, metadata: { run: 7 } });
  expect(sha256(await contentOf(disk, '/big/any-order.bin'))).toBe(sha256(Buffer.concat(parts)));
});

test('an upload tells which parts have arrived, and goes on after a cut one', async () => {
  const parts = randomParts(2);
  const [first = Buffer.of(), last = Buffer.of()] = parts;
  const upload = await beginUpload(disk, { path: '/big/resumed.bin' });
  await upload.put(1, first);
  const cut = new ReadableStream<Uint8Array>({
    start: (controller) => {
      controller.enqueue(last.subarray(0, 100));
      controller.error(new Error('cut'));
    },
  });
  await expect(upload.putPart(2, cut, { duplex: 'half' })).rejects.toThrow(/fetch failed|cut/);
  const { parts: arrived, state } = await upload.get();
  expect({ arrived, state }).toEqual({
    arrived: [{ part: 1, sizeBytes: PART, sha256: sha256(first) }],
    state: 'open',
  });
  expect(await upload.refused(2)).toMatchObject({ status: 409, message: expect.stringMatching(/^Part 2 is missing/) });
  await upload.put(2, last);
  await upload.completed(2);
  expect(sha256(await contentOf(disk, '/big/resumed.bin'))).toBe(sha256(Buffer.concat(parts)));
});

test('of a part that is written again the last one counts', async () => {
  const upload = await beginUpload(disk, { path: '/big/again.txt' });
  await upload.put(1, 'the first version');
  await upload.put(1, 'the second');
  expect((await upload.get()).parts).toMatchObject([{ part: 1, sizeBytes: 10 }]);
  expect(await upload.completed(1)).toMatchObject({ sizeBytes: 10, contentType: 'text/plain; charset=utf-8' });
  expect((await contentOf(disk, '/big/again.txt')).toString()).toBe('the second');
});

test('parts of wrong sizes, numbers out of bounds and too small a count are refused with the reason', async () => {
  const upload = await beginUpload(disk, { path: '/big/sizes.bin' });
  expect(await errorOf(await upload.putPart(1, new Uint8Array(PART + 1)))).toMatchObject({ status: 413 });
  expect(await errorOf(await upload.putPart(1, new Uint8Array(0)))).toMatchObject({
    status: 400,
    message: 'A part has at least one byte.',
  });
  expect((await upload.putPart(0, 'text')).status).toBe(400);
  expect((await upload.putPart(10_001, 'text')).status).toBe(400);
  await upload.put(1, 'short');
  await upload.put(2, 'last');
  expect(await upload.refused(2)).toEqual({
    status: 409,
    code: 'conflict',
    message: `Part 1 has 5 bytes; each part but the last has ${PART}.`,
  });
  expect(await upload.refused(1)).toMatchObject({ status: 409, message: 'Part 2 was written, too, and parts is 1.' });
  const create = (partBytes: number) =>
    disk.api('/uploads', { method: 'POST', json: { path: '/big/none.bin', partBytes } });
  expect((await create(PART - 1)).status).toBe(400);
  expect((await create(64 * MIB + 1)).status).toBe(400);
  expect((await upload.abort()).status).toBe(204);
});

test('a part without a length is taken up to 8 MiB', async () => {
  const upload = await beginUpload(disk, { path: '/big/chunked.bin', partBytes: 16 * MIB });
  const chunked = (bytes: number) =>
    Readable.toWeb(Readable.from([Buffer.alloc(bytes - 1, 'a'), Buffer.from('b')])) as ReadableStream;
  expect((await upload.putPart(1, chunked(8 * MIB), { duplex: 'half' })).status).toBe(200);
  const refused = await upload.putPart(2, chunked(8 * MIB + 1), { duplex: 'half' });
  expect(await errorOf(refused)).toMatchObject({
    status: 413,
    message: expect.stringMatching(/Content-Length has at most 8388608 bytes/),
  });
  expect(await upload.completed(1)).toMatchObject({ sizeBytes: 8 * MIB });
});

test('a complete that is asked again answers the same artifact, and one at the same time does', async () => {
  const upload = await beginUpload(disk, { path: '/big/twice.txt' });
  await upload.put(1, 'once and for all');
  const [one, other] = await Promise.all([upload.completed(1), upload.completed(1)]);
  const third = await upload.completed(1);
  expect(other).toEqual(one);
  expect(third).toEqual(one);
  expect(await upload.get()).toMatchObject({ state: 'completed', parts: [] });
  expect((await contentOf(disk, '/big/twice.txt')).toString()).toBe('once and for all');
  expect(await errorOf(await upload.putPart(2, 'late'))).toMatchObject({ status: 409 });
  expect(await errorOf(await upload.abort())).toMatchObject({ status: 409 });
  expect((await contentOf(disk, '/big/twice.txt')).toString()).toBe('once and for all');
});

test('an aborted upload is gone, with what it took', async () => {
  const before = await stored();
  const upload = await beginUpload(disk, { path: '/big/aborted.bin' });
  await upload.put(1, 'some bytes');
  expect(await stored()).toBe(before + 10);
  expect((await upload.abort()).status).toBe(204);
  expect(await stored()).toBe(before);
  expect(await upload.refused(1)).toMatchObject({ status: 404 });
  expect((await upload.abort()).status).toBe(404);
  expect((await upload.putPart(1, 'late')).status).toBe(404);
  expect((await stat('/big/aborted.bin')).status).toBe(404);
});

test('If-Match and If-None-Match hold at complete, and a refused upload can be completed later', async () => {
  await disk.put('/big/guarded.txt', 'old');
  const { etag } = (await (await stat('/big/guarded.txt')).json()) as ArtifactView;
  const upload = await beginUpload(disk, { path: '/big/guarded.txt' });
  await upload.put(1, 'new');
  expect(await upload.refused(1, { 'if-none-match': '*' })).toMatchObject({ status: 412 });
  expect(await upload.refused(1, { 'if-match': '"other"' })).toMatchObject({ status: 412 });
  expect((await contentOf(disk, '/big/guarded.txt')).toString()).toBe('old');
  await upload.completed(1, { 'if-match': etag });
  expect((await contentOf(disk, '/big/guarded.txt')).toString()).toBe('new');
});

test('equal uploads in equal parts are stored once', async () => {
  const own = await createTenant();
  const mine = await createOwnDisk(own);
  const parts = randomParts(2);
  for (const path of ['/one.bin', '/two.bin']) {
    const upload = await beginUpload(mine, { path });
    for (const [index, bytes] of parts.entries()) await upload.put(index + 1, bytes);
    await upload.completed(2);
  }
  expect(await stored(own)).toBe(PART + 1000);
  await mine.remove('/one.bin');
  expect(sha256(await contentOf(mine, '/two.bin'))).toBe(sha256(Buffer.concat(parts)));
  // A single part has the digest of the whole.
  const single = await beginUpload(mine, { path: '/three.txt' });
  await single.put(1, 'the same text');
  await single.completed(1);
  await mine.put('/four.txt', 'the same text');
  expect(await stored(own)).toBe(PART + 1000 + 13);
});

test('parts count against the tenant’s limit, and an upload that fills it can be completed', async () => {
  const own = await createTenant({ maxStorageBytes: 2 * PART });
  const mine = await createOwnDisk(own);
  const upload = await beginUpload(mine, { path: '/full.bin' });
  const part = new Uint8Array(PART).fill(1);
  await upload.put(1, part);
  await upload.put(2, part.fill(2));
  expect(await stored(own)).toBe(2 * PART);
  expect(await errorOf(await upload.putPart(3, 'x'))).toMatchObject({ status: 429, code: 'quota_exceeded' });
  // Over what it takes itself it may be written again.
  await upload.put(2, part.fill(3));
  await upload.completed(2);
  expect(await stored(own)).toBe(2 * PART);
  const again = await beginUpload(mine, { path: '/full.bin' });
  expect((await again.putPart(1, 'x')).status).toBe(429);
  await mine.remove('/full.bin');
  expect(await stored(own)).toBe(0);
  await again.put(1, 'x');
});

test('a tenant has at most 100 uploads open', async () => {
  const own = await createTenant();
  const mine = await createOwnDisk(own);
  const begin = () => mine.api('/uploads', { method: 'POST', json: { path: '/many.bin' } });
  const statuses: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    for (const { status } of await Promise.all(Array.from({ length: 10 }, begin))) statuses.push(status);
  }
  expect(statuses.filter((status) => status === 201)).toHaveLength(100);
  expect(await errorOf(await begin())).toMatchObject({ status: 429, message: expect.stringMatching(/at most 100/) });
});

test('another tenant’s upload is answered as a missing one, and so is an upload on another disk', async () => {
  const upload = await beginUpload(disk, { path: '/big/mine.bin' });
  const other = await createTenant();
  const theirs = await createOwnDisk(other);
  const mineToo = await createOwnDisk(tenant);
  const calls = (uploadId: string): [string, RequestInit & { json?: unknown }][] => [
    [`/uploads/${uploadId}`, {}],
    [`/uploads/${uploadId}`, { method: 'DELETE' }],
    [`/uploads/${uploadId}/parts/1`, { method: 'PUT', body: 'text' }],
    [`/uploads/${uploadId}/complete`, { method: 'POST', json: { parts: 1 } }],
    [`/uploads/${uploadId}/urls`, { method: 'POST', json: { parts: [{ part: 1, sizeBytes: 1 }] } }],
  ];
  for (const [path, init] of calls(upload.id)) {
    for (const elsewhere of [theirs, mineToo]) {
      expect(await errorOf(await elsewhere.api(path, init))).toMatchObject({
        status: 404,
        message: `There is no upload with the id ${upload.id} on this disk.`,
      });
    }
    const foreign = await errorOf(await other.api(`/v1/disks/${disk.id}/artifacts${path}`, init));
    expect(foreign).toMatchObject({ status: 404, message: `There is no disk with the id ${disk.id}.` });
  }
  expect((await upload.abort()).status).toBe(204);
});

test('200 MiB come whole', async () => {
  const partBytes = 50 * MIB;
  const upload = await beginUpload(disk, { path: '/big/200.bin', partBytes });
  const part = Buffer.alloc(partBytes);
  for (let index = 0; index < 4; index += 1) {
    part.fill(index + 1);
    await upload.put(index + 1, part);
  }
  expect(await upload.completed(4)).toMatchObject({ sizeBytes: 4 * partBytes });
  const response = await disk.api(`/content?path=${encodeURIComponent('/big/200.bin')}`, {
    headers: { range: `bytes=${partBytes - 1}-${partBytes}` },
  });
  expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([1, 2]);
  await disk.remove('/big/200.bin');
}, 120_000);
