import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

interface PublicUrl {
  url: string;
  expiresAt: string;
}

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
  disk = await createOwnDisk(tenant);
});
afterAll(() => tenant.cleanUp());

const publish = (path: string, body: Record<string, unknown> = {}): Promise<PublicUrl> =>
  disk.json<PublicUrl>('/url', { method: 'POST', json: { path, ...body } });

/** What a refusal says, without what is of this request alone. */
const refusalOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, error: { ...error, requestId: '<request>' } };
};

const gone = {
  status: 404,
  error: { code: 'not_found', message: 'material not found', requestId: '<request>' },
};

test('who has the URL reads the artifact without a key, from anywhere, and nothing of it is run', async () => {
  await disk.put('/public/page.html', '<script>alert(1)</script>');
  const { url, expiresAt } = await publish('/public/page.html', { expiresInSeconds: 600 });
  expect(url.startsWith(`${installation().url}/v1/material/`)).toBe(true);
  expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(590_000);
  expect(Date.parse(expiresAt) - Date.now()).toBeLessThan(602_000);

  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('<script>alert(1)</script>');
  const { headers } = response;
  expect(headers.get('content-type')).toMatch(/^text\/html/);
  expect(headers.get('content-disposition')).toBe(`attachment; filename="page.html"; filename*=UTF-8''page.html`);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('content-security-policy')).toContain('sandbox');
  expect(headers.get('access-control-allow-origin')).toBe('*');
  expect(headers.get('cache-control')).toMatch(/^private, max-age=\d{1,2},/);
  expect(headers.get('content-length')).toBe('25');
});

test('HEAD, ranges and the ETag are answered as RFC 9110 has them', async () => {
  await disk.put('/public/digits.txt', '0123456789');
  const { url } = await publish('/public/digits.txt');
  const ask = (headers: Record<string, string>, method = 'GET') => fetch(url, { headers, method });

  const head = await ask({}, 'HEAD');
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', '']);
  const etag = head.headers.get('etag') ?? '';
  expect(etag).toMatch(/^"[0-9a-f]+"$/);

  const unchanged = await ask({ 'if-none-match': `"other", W/${etag}` });
  expect([unchanged.status, unchanged.headers.get('etag'), await unchanged.text()]).toEqual([304, etag, '']);
  expect((await ask({ 'if-none-match': '"other"' })).status).toBe(200);

  const ranges = { 'bytes=2-4': '234', 'bytes=7-': '789', 'bytes=-2': '89', 'bytes=5-99': '56789' };
  for (const [range, text] of Object.entries(ranges)) {
    const part = await ask({ range, 'if-range': etag });
    expect([range, part.status, await part.text()]).toEqual([range, 206, text]);
  }
  expect((await ask({ range: 'bytes=2-4' })).headers.get('content-range')).toBe('bytes 2-4/10');
  expect(await (await ask({ range: 'bytes=2-4', 'if-range': '"other"' })).text()).toBe('0123456789');
  const outside = await ask({ range: 'bytes=10-' });
  expect([outside.status, outside.headers.get('content-range')]).toEqual([416, 'bytes */10']);
});

test('a large artifact comes whole, and so does an empty one', async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const large = new Uint8Array(3_000_000);
  for (let at = 0; at < large.length; at += bytes.length) large.set(bytes, at);
  await disk.put('/public/large.bin', large);
  await disk.put('/public/empty.txt', '');
  const whole = await fetch((await publish('/public/large.bin')).url);
  expect(whole.headers.get('content-length')).toBe('3000000');
  expect(Buffer.from(await whole.arrayBuffer()).equals(large)).toBe(true);
  const empty = await fetch((await publish('/public/empty.txt')).url);
  expect([empty.status, await empty.text()]).toEqual([200, '']);
});

test('a URL leads to what the artifact holds now, and to nothing once it is deleted', async () => {
  await disk.put('/public/current.txt', 'old');
  const { url } = await publish('/public/current.txt');
  expect(await (await fetch(url)).text()).toBe('old');
  await disk.put('/public/current.txt', 'new');
  expect(await (await fetch(url)).text()).toBe('new');
  await disk.remove('/public/current.txt');
  expect(await refusalOf(await fetch(url))).toEqual(gone);
  await disk.put('/public/current.txt', 'another artifact');
  expect(await refusalOf(await fetch(url))).toEqual(gone);
});

test('an expired URL, a forged one and nonsense get the answer of one that never was', async () => {
  await disk.put('/public/short.txt', 'short');
  const { url, expiresAt } = await publish('/public/short.txt', { expiresInSeconds: 1 });
  expect((await fetch(url)).status).toBe(200);
  await waitFor('the URL to expire', () => Date.now() > Date.parse(expiresAt), 4_000);
  expect(await refusalOf(await fetch(url))).toEqual(gone);

  const { url: lasting } = await publish('/public/short.txt');
  const later = `${lasting.slice(0, -40)}f${lasting.slice(-39)}`;
  const others = [later, lasting.slice(0, -1), `${lasting}0`, `${installation().url}/v1/material/nonsense`];
  others.push(`${installation().url}/v1/material/${'0'.repeat(64)}`, `${installation().url}/v1/material/%2e%2e%2fme`);
  for (const other of others) expect([other, await refusalOf(await fetch(other))]).toEqual([other, gone]);
});

test('a URL is good for 7 days at most, and for no time that has passed', async () => {
  await disk.put('/public/long.txt', 'long');
  const { expiresAt } = await publish('/public/long.txt', { expiresInSeconds: 10 ** 9 });
  expect(Math.abs(Date.parse(expiresAt) - Date.now() - 7 * 24 * 3600 * 1000)).toBeLessThan(5_000);
  for (const expiresInSeconds of [0, -1, 0.5]) {
    const refused = await disk.api('/url', { method: 'POST', json: { path: '/public/long.txt', expiresInSeconds } });
    expect(refused.status).toBe(400);
  }
});

test('a suspended tenant’s URLs lead nowhere, until it no longer is', async () => {
  await disk.put('/public/suspended.txt', 'here');
  const { url } = await publish('/public/suspended.txt');
  const suspend = (suspended: boolean) =>
    fetch(`${installation().url}/v1/tenants/${tenant.tenantId}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${installation().adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ suspended }),
    });
  expect((await suspend(true)).status).toBe(200);
  expect(await refusalOf(await fetch(url))).toEqual(gone);
  expect((await suspend(false)).status).toBe(200);
  expect(await (await fetch(url)).text()).toBe('here');
});

test('only its tenant makes an artifact public, and only one that is there', async () => {
  await disk.put('/public/own.txt', 'own');
  const other = await createTenant();
  const foreign = await other.api(`/v1/disks/${disk.id}/artifacts/url`, {
    method: 'POST',
    json: { path: '/public/own.txt' },
  });
  expect(foreign.status).toBe(404);
  expect((await disk.api('/url', { method: 'POST', json: { path: '/public/missing.txt' } })).status).toBe(404);
  expect((await disk.api('/url', { method: 'POST', json: { path: '/public/' } })).status).toBe(400);
});

test('no name gets out of the header', async () => {
  const name = `a"b; x='é%41\\.txt`;
  await disk.put(`/public/${name}`, 'named');
  const { headers } = await fetch((await publish(`/public/${name}`)).url);
  expect(headers.get('content-disposition')).toBe(
    `attachment; filename="a_b; x='__41_.txt"; filename*=UTF-8''a%22b%3B%20x%3D%27%C3%A9%2541%5C.txt`,
  );
});
