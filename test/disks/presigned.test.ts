import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf } from '../exec/calls.ts';
import { createTenant, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';
import { beginUpload, contentOf, PART, randomParts, sha256, storedBytes } from './own-upload.ts';

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
  disk = await createOwnDisk(tenant);
});
afterAll(() => tenant.cleanUp());

const send = async (url: string, bytes: BodyInit): Promise<string> => {
  const response = await fetch(url, { method: 'PUT', body: bytes });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return response.headers.get('etag') ?? '';
};

const begin = (path: string, of: OwnDisk = disk) => beginUpload(of, { path, way: 'direct' });

/** Sends all parts by their URLs, and gives what complete wants. */
const sendAll = async (upload: Awaited<ReturnType<typeof begin>>, parts: Buffer<ArrayBuffer>[]) => {
  const { urls } = await upload.urls(parts.map(({ byteLength }) => byteLength));
  return Promise.all(urls.map(async ({ part, url }) => ({ part, etag: await send(url, parts[part - 1] ?? '') })));
};

const urlOf = (path: string, body: Record<string, unknown> = {}) =>
  disk.json<{ url: string; expiresAt: string }>('/url', { method: 'POST', json: { path, direct: true, ...body } });

test('parts that went to their URLs become an artifact, and the URLs are dead afterwards', async () => {
  const parts = randomParts(2);
  const upload = await begin('/direct/two.bin');
  const { urls, expiresAt } = await upload.urls([PART, 1000], { expiresInSeconds: 600 });
  expect(Date.parse(expiresAt) - Date.now()).toBeLessThan(602_000);
  const [one = { url: '' }, two = { url: '' }] = urls;
  const etags = [
    { part: 2, etag: await send(two.url, parts[1] ?? '') },
    { part: 1, etag: await send(one.url, parts[0] ?? '') },
  ];
  expect(await upload.completed(etags)).toMatchObject({ sizeBytes: PART + 1000, path: '/direct/two.bin' });
  expect(await upload.completed(etags)).toMatchObject({ sizeBytes: PART + 1000 });
  expect(sha256(await contentOf(disk, '/direct/two.bin'))).toBe(sha256(Buffer.concat(parts)));
  expect((await fetch(one.url, { method: 'PUT', body: parts[0] ?? '' })).status).toBe(404);
  expect(sha256(await contentOf(disk, '/direct/two.bin'))).toBe(sha256(Buffer.concat(parts)));
});

test('a wrong ETag, a part twice and a mere count are refused, and the upload goes on', async () => {
  const upload = await begin('/direct/etags.bin');
  const etags = await sendAll(upload, randomParts(2));
  const [first] = etags;
  expect(await upload.refused(2)).toMatchObject({ status: 400 });
  expect(await upload.refused([first, first])).toMatchObject({ status: 400, message: 'Part 1 is given twice.' });
  expect(await upload.refused([first, { part: 2, etag: '0'.repeat(32) }])).toMatchObject({ status: 409 });
  expect(await upload.completed(etags)).toMatchObject({ sizeBytes: PART + 1000 });
});

test('the store takes a part with the length that was claimed, and with no other', async () => {
  const upload = await begin('/direct/lengths.bin');
  const [first = { url: '' }, second = { url: '' }] = (await upload.urls([PART, 1000])).urls;
  const put = async (url: string, body: BodyInit, init: RequestInit & { duplex?: 'half' } = {}) =>
    (await fetch(url, { method: 'PUT', body, ...init })).status;
  for (const bytes of [1, 1000]) expect(await put(first.url, new Uint8Array(bytes))).toBe(403);
  for (const bytes of [999, 1001, 5000]) expect(await put(second.url, new Uint8Array(bytes))).toBe(403);
  // A refusal in the middle of a large body may end as a reset.
  expect(await put(second.url, new Uint8Array(PART)).catch(() => 403)).toBe(403);
  const untold = new Blob([new Uint8Array(1000)]).stream();
  expect(await put(second.url, untold, { duplex: 'half' })).toBe(403);
  // The URL without the header that was signed.
  const unsigned = second.url.replace('content-length%3Bhost', 'host');
  expect(unsigned).not.toBe(second.url);
  expect(await put(unsigned, new Uint8Array(1000))).toBe(403);
  const etags = [
    { part: 1, etag: await send(first.url, new Uint8Array(PART)) },
    { part: 2, etag: await send(second.url, new Uint8Array(1000)) },
  ];
  expect(await upload.completed(etags)).toMatchObject({ sizeBytes: PART + 1000 });
});

test('a part is what is sent: another object is not copied into it', async () => {
  await disk.put('/direct/source.txt', 'of any size');
  const source = decodeURIComponent(new URL((await urlOf('/direct/source.txt')).url).pathname).split('/s3')[1] ?? '';
  expect(source).toMatch(/\/blobs\//);
  const [first = { url: '' }] = (await (await begin('/direct/copied.bin')).urls([4])).urls;
  const copied = await fetch(first.url, { method: 'PUT', body: 'text', headers: { 'x-amz-copy-source': source } });
  expect(copied.status).toBe(403);
});

test('parts count against the limit from their URLs on, once, and abort lets them go', async () => {
  const own = await createTenant({ maxStorageBytes: 2 * PART + 100 });
  const mine = await createOwnDisk(own);
  const stored = () => storedBytes(() => own.json('/v1/me'));
  const upload = await begin('/over.bin', mine);
  await upload.urls([PART]);
  expect(await stored()).toBe(PART);
  await upload.urls([PART, 50]);
  expect(await stored()).toBe(PART + 50);
  // An earlier URL for the whole part may be used yet.
  await upload.urls([10, 20]);
  expect(await stored()).toBe(PART + 50);
  const over = { status: 429, code: 'quota_exceeded' };
  expect(await upload.urlsRefused({ part: 3, sizeBytes: 51 }, { part: 4, sizeBytes: PART })).toMatchObject(over);
  const other = await begin('/other.bin', mine);
  expect(await other.urlsRefused({ part: 1, sizeBytes: PART }, { part: 2, sizeBytes: 51 })).toMatchObject(over);
  const content = { method: 'PUT', body: new Uint8Array(PART + 51) };
  expect(await errorOf(await mine.api('/content?path=/small.bin', content))).toMatchObject(over);
  expect(await stored()).toBe(PART + 50);
  await other.urls([PART, 50]);
  expect((await upload.abort()).status).toBe(204);
  expect(await stored()).toBe(PART + 50);
  expect((await other.abort()).status).toBe(204);
  expect(await stored()).toBe(0);
  await own.cleanUp();
});

test('at the limit a complete takes nothing more, and gives back what was claimed and not sent', async () => {
  const own = await createTenant({ maxStorageBytes: PART + 1000 });
  const mine = await createOwnDisk(own);
  const upload = await begin('/full.bin', mine);
  const [first = { url: '' }] = (await upload.urls([PART, 1000])).urls;
  await upload.completed([{ part: 1, etag: await send(first.url, new Uint8Array(PART)) }]);
  expect(await storedBytes(() => own.json('/v1/me'))).toBe(PART);
  await own.cleanUp();
});

test('a complete takes parts that had URLs only; sizes beyond partBytes and a part twice get none', async () => {
  const upload = await begin('/direct/claims.bin');
  const [first = { url: '' }] = (await upload.urls([4])).urls;
  const etag = await send(first.url, 'text');
  expect(
    await upload.refused([
      { part: 1, etag },
      { part: 2, etag },
    ]),
  ).toMatchObject({
    status: 409,
    message: 'Part 2 has had no URL: ask POST …/urls for one, and send it.',
  });
  const one = { part: 3, sizeBytes: 1 };
  expect(await upload.urlsRefused(one, one)).toMatchObject({ status: 400, message: 'Part 3 is given twice.' });
  expect(await upload.urlsRefused({ part: 3, sizeBytes: PART + 1 })).toMatchObject({ status: 413 });
  expect(await upload.urlsRefused({ part: 3, sizeBytes: 0 })).toMatchObject({ status: 400 });
  expect((await upload.get()).parts).toEqual([]);
  expect(await upload.completed([{ part: 1, etag }])).toMatchObject({ sizeBytes: 4 });
});

test('an aborted upload’s URLs are dead; parts of either way go its own way only', async () => {
  const direct = await begin('/direct/aborted.bin');
  const [first] = (await direct.urls([4])).urls;
  expect(await errorOf(await direct.putPart(1, 'text'))).toMatchObject({ status: 409 });
  expect((await direct.abort()).status).toBe(204);
  expect((await fetch(first?.url ?? '', { method: 'PUT', body: 'text' })).status).toBe(404);
  const relayed = await beginUpload(disk, { path: '/direct/relayed.bin' });
  const urls = await disk.api(`/uploads/${relayed.id}/urls`, {
    method: 'POST',
    json: { parts: [{ part: 1, sizeBytes: 1 }] },
  });
  expect(await errorOf(urls)).toMatchObject({ status: 409 });
});

test('a direct URL gives an artifact without a key, as an attachment, whole and in ranges', async () => {
  await disk.put('/direct/größe "1".txt', '0123456789');
  const { url } = await urlOf('/direct/größe "1".txt', { expiresInSeconds: 60 });
  const response = await fetch(url);
  expect([response.status, await response.text()]).toEqual([200, '0123456789']);
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename=.*gr%C3%B6%C3%9Fe/);
  const part = await fetch(url, { headers: { range: 'bytes=2-4' } });
  expect([part.status, await part.text()]).toEqual([206, '234']);
});

test('a URL is good for its object, method and time only, and leads nowhere else', async () => {
  await disk.put('/direct/secret.txt', 'secret');
  const { url } = await urlOf('/direct/secret.txt');
  expect((await fetch(url, { method: 'PUT', body: 'mine' })).status).toBe(403);
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(403);
  expect((await fetch(url.replace('X-Amz-Expires=3600', 'X-Amz-Expires=7200'))).status).toBe(403);
  const { origin, pathname } = new URL(url);
  expect((await fetch(`${origin}${pathname}`)).status).toBe(400);
  // Miniflare's own ways to the bucket, which ask for no key.
  const open = pathname.replace('/r2/s3/', '/r2/public/');
  expect((await fetch(`${origin}${open}`)).status).toBe(404);
  expect((await fetch(`${origin}${pathname.replace('/r2/s3/', '/r2/s3/%2e%2e/public/')}`)).status).toBe(404);
  expect((await fetch(`${origin}/v1/me`)).status).toBe(404);
});
