import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { acontextRoutes } from '../../../worker/dialects/acontext/route-table.ts';
import { installation } from '../../installation.ts';
import { waitFor } from '../../wait-for.ts';
import { acontextKeyOf, createAcontext, failure, failureOf, type Acontext } from './client.ts';

let acontext: Acontext;
beforeAll(async () => {
  acontext = await createAcontext();
});
afterAll(() => acontext.cleanUp());

const unauthorized = '{"code":401,"msg":"Unauthorized"}';
const filled = (path: string): string => path.replaceAll(/\{.+?\}/g, '11111111-1111-4111-8111-111111111111');

test('no two routes answer the same method and path, whatever their parameters are called', () => {
  const shapes = acontextRoutes.map(({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`);
  expect(shapes.filter((shape, index) => shapes.indexOf(shape) !== index)).toEqual([]);
});

test('only material is served without a key', () => {
  const open = acontextRoutes.filter((route) => route.open).map(({ method, path }) => `${method} ${path}`);
  expect(open.filter((route) => route !== 'GET /material/{token}')).toEqual([]);
});

describe.each(acontextRoutes.filter((route) => !route.open))('$method $path', ({ method, path }) => {
  test.each([
    ['no key', null],
    ['a blank key', ' '],
    ['a key that there is not', `sk-ac-${'0'.repeat(40)}`],
    ['what is no key', 'sk_project_token'],
    ['the admin key', 'admin'],
  ])('with %s is 401 in the envelope', async (_, given) => {
    const key = given === 'admin' ? installation().adminKey : given;
    const answer = await acontext.send(method, filled(path), { key });
    expect([answer.status, answer.text]).toEqual([401, unauthorized]);
    expect(answer.headers.get('content-type')).toContain('application/json');
  });
});

test('a revoked and an expired key are 401 on every route', async () => {
  const revoked = await acontext.tenant.newKey({ scopes: ['read', 'write'] });
  const expiresAt = new Date(Date.now() + 3_000).toISOString();
  const expiring = await acontext.tenant.newKey({ scopes: ['read', 'write'], expiresAt });
  await acontext.tenant.json(`/v1/keys/${revoked.id}`, { method: 'DELETE' });
  await waitFor('the key to expire', () => Date.now() > Date.parse(expiresAt), 10_000);
  for (const { method, path } of acontextRoutes.filter((route) => !route.open)) {
    for (const { key } of [revoked, expiring]) {
      const answer = await acontext.send(method, filled(path), { key: acontextKeyOf(key) });
      expect([answer.status, answer.text]).toEqual([401, unauthorized]);
    }
  }
});

test('a route that there is not is 401 without a key as well', async () => {
  for (const path of ['', '/', '/nonsense', '/session', '/ping/']) {
    expect((await acontext.send('GET', path, { key: null })).text).toBe(unauthorized);
  }
});

test('only the bearer counts: X-API-Key is no key here', async () => {
  const response = await fetch(`${installation().url}/api/v1/ping`, { headers: { 'x-api-key': acontext.tenant.key } });
  expect([response.status, await response.text()]).toEqual([401, unauthorized]);
});

test('ping answers pong, with a key under any of its prefixes', async () => {
  const body = acontext.tenant.key.slice('gb_'.length);
  for (const prefix of ['sk-ac-', 'gb_', 'e2b_', 'sk-sb-']) {
    const answer = await acontext.send('GET', '/ping', { key: `${prefix}${body}` });
    expect([answer.status, answer.body]).toEqual([200, { code: 0, msg: 'pong' }]);
  }
});

test('health needs no key, at the root', async () => {
  const response = await fetch(`${installation().url}/health`);
  expect([response.status, await response.json()]).toEqual([200, { code: 0, msg: 'ok' }]);
});

test.each([
  ['POST', '/session'],
  ['GET', '/session/11111111-1111-4111-8111-111111111111/messages?limit=1'],
  ['GET', '/learning_spaces'],
  ['POST', '/learning_spaces/11111111-1111-4111-8111-111111111111/learn'],
  ['GET', '/project/configs'],
  ['PATCH', '/project/configs'],
])('%s %s of Acontext is 501 in the envelope', async (method, path) => {
  expect(failureOf(await acontext.send(method, path))).toEqual(failure(501, /not served here/));
});

test('an unknown path is 404 in the envelope, a trailing slash among them, and never a redirect', async () => {
  for (const path of ['', '/', '/nonsense', '/ping/', '//ping', '/sessions']) {
    expect(failureOf(await acontext.send('GET', path))).toEqual(failure(404, /no such route/));
  }
});

test('a wrong method is 405 with Allow', async () => {
  for (const method of ['POST', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await acontext.send(method, '/ping');
    expect(failureOf(answer)).toEqual(failure(405, /takes GET, HEAD/));
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
  }
  const open = await acontext.send('POST', '/material/x', { key: null });
  expect(failureOf(open)).toEqual(failure(405, /takes GET, HEAD/));
});

test('a read-only key may read and is told what it lacks for the rest', async () => {
  const { key } = await acontext.tenant.newKey({ scopes: ['read'] });
  expect((await acontext.send('GET', '/ping', { key: acontextKeyOf(key) })).status).toBe(200);
  for (const { method, path } of acontextRoutes.filter((route) => route.method !== 'GET')) {
    expect(failureOf(await acontext.send(method, filled(path), { key: acontextKeyOf(key) }))).toEqual(
      failure(403, /needs write/),
    );
  }
});

test('over the rate of a key is 429 with Retry-After', async () => {
  const slow = await createAcontext({ requestsPerSecond: 1 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => slow.send('GET', '/ping')));
  const refused = answers.find(({ status }) => status === 429);
  if (!refused) throw new Error('none of 8 requests at once was refused');
  expect(failureOf(refused)).toEqual(failure(429, /requests a second/));
  expect(refused.headers.get('retry-after')).toBe('1');
});

test('an unknown host name is refused in the envelope as well', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const headers = { host: 'rebound.example' };
    const call = request(`${installation().url}/api/v1/ping`, { headers }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    });
    call.on('error', reject).end();
  });
  expect(JSON.parse(text)).toMatchObject({ code: 403, msg: expect.stringMatching(/host name/) as string });
});

test('HEAD is answered as GET without a body', async () => {
  const headers = { authorization: `Bearer ${acontext.tenant.key}` };
  const response = await fetch(`${installation().url}/api/v1/ping`, { method: 'HEAD', headers });
  expect([response.status, await response.text()]).toEqual([200, '']);
});
