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
  const { urls } = await upload.urls(parts.map((_, index) => index + 1));
  return Promise.all(urls.map(async ({ part, url }) => ({ part, etag: await send(url, parts[part - 1] ?? '') })));
};

const urlOf = (path: string, body: Record<string, unknown> = {}) =>
  disk.json<{ url: string; expiresAt: string }>('/url', { method: 'POST', json: { path, direct: true, ...body } });

test('parts that went to their URLs become an artifact, and the URLs are dead afterwards', async () => {
  const parts = randomParts(2);
  const upload = await begin('/direct/two.bin');
  const { urls, expiresAt } = await upload.urls([1, 2], { expiresInSeconds: 600 });
  expect(Date.parse(expiresAt) - Date.now()).toBeLessThan(602_000);
  const [one = { url: '' }, two = { url: '' }] = urls;
  const etags = [
    { part: 2, etag: await send(two.url, parts[1] ?? '') },
    { part: 1, etag: await send(one.url, parts[0] ?? '') },
  ];
  expect(await upload.completed(etags)).toMatchObject({ sizeBytes: PART + 1000, path: '/direct/two.bin' });
  expect(await upload.completed(etags)).toMatchObject({ sizeBytes: PART + 1000 });
  expect(sha256(await contentOf(disk, '/direct/two.bin'))).toBe(sha256(Buffer.concat(parts)));
  const late = await fetch(one.url, { method: 'PUT', body: 'late' });
  expect(late.status).toBe(404);
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

test('what a direct upload turns out to take is held to the tenant’s limit', async () => {
  const own = await createTenant({ maxStorageBytes: PART });
  const mine = await createOwnDisk(own);
  const upload = await begin('/over.bin', mine);
  const beyond = await mine.api(`/uploads/${upload.id}/urls`, { method: 'POST', json: { parts: [3] } });
  expect(await errorOf(beyond)).toMatchObject({ status: 429, code: 'quota_exceeded' });
  const [first] = (await upload.urls([1])).urls;
  const url = first?.url ?? '';
  const etag = await send(url, new Uint8Array(PART + 1));
  expect(await upload.refused([{ part: 1, etag }])).toMatchObject({ status: 429, code: 'quota_exceeded' });
  expect(await upload.refused([{ part: 1, etag }])).toMatchObject({ status: 404 });
  expect(await storedBytes(() => own.json('/v1/me'))).toBe(0);
});

test('an aborted upload’s URLs are dead; parts of either way go its own way only', async () => {
  const direct = await begin('/direct/aborted.bin');
  const [first] = (await direct.urls([1])).urls;
  expect(await errorOf(await direct.putPart(1, 'text'))).toMatchObject({ status: 409 });
  expect((await direct.abort()).status).toBe(204);
  expect((await fetch(first?.url ?? '', { method: 'PUT', body: 'text' })).status).toBe(404);
  const relayed = await beginUpload(disk, { path: '/direct/relayed.bin' });
  const urls = await disk.api(`/uploads/${relayed.id}/urls`, { method: 'POST', json: { parts: [1] } });
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
