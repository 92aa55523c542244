import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { e2bRoutes } from '../../../worker/dialects/e2b/route-table.ts';
import { rootPaths } from '../../../worker/dialects/root-paths.ts';
import { installation } from '../../installation.ts';
import { waitFor } from '../../wait-for.ts';
import { e2bKeyOf } from './client.ts';
import { createWire, failure, failureOf, type Answer, type Wire } from './wire.ts';

let wire: Wire;
let other: Wire;
beforeAll(async () => {
  wire = await createWire();
  other = await createWire();
});
afterAll(() => Promise.all([wire.tenant.cleanUp(), other.tenant.cleanUp()]));

const missingId = '00000000000040008000000000000000';
const filled = (path: string, sandboxId = missingId): string =>
  path.replaceAll('{sandboxID}', sandboxId).replaceAll(/\{.+?\}/g, 'unknown');

/** What a route needs in its body or query to get as far as the sandbox. */
const bodies: Record<string, unknown> = {
  'POST /sandboxes': { templateID: 'base' },
  'POST /v2/sandboxes': { templateID: 'base' },
  'POST /sandboxes/{sandboxID}/timeout': { timeout: 60 },
  'POST /sandboxes/{sandboxID}/connect': { timeout: 60 },
  'POST /api-keys': { name: 'one' },
};

const keyed = e2bRoutes.filter(({ open }) => open !== true);
const ask = (method: string, path: string, key: string | null, sandboxId?: string): Promise<Answer> => {
  const route = e2bRoutes.find((candidate) => candidate.method === method && candidate.path === path);
  const json = route === undefined || route.body === 'none' ? undefined : (bodies[`${method} ${path}`] ?? {});
  return wire.send(method, filled(path, sandboxId), { key, json });
};

test('no route is served without a key', () => {
  expect(e2bRoutes.filter(({ open }) => open === true)).toEqual([]);
});

describe.each(keyed)('$method $path', ({ method, path }) => {
  test.each([
    ['no key', null, /API key is needed/],
    ['a key that there is not', `e2b_${'0'.repeat(40)}`, /no such API key/],
    ['what is no key', 'nonsense', /not an API key/],
    ['the admin key', 'admin', /not an API key/],
  ])('with %s is 401 in E2B’s shape', async (_, given, message) => {
    const answer = await ask(method, path, given === 'admin' ? installation().adminKey : given);
    expect(failureOf(answer)).toEqual(failure(401, message));
    expect(answer.headers.get('content-type')).toContain('application/json');
  });
});

test('a revoked and an expired key are 401 on every route', async () => {
  const revoked = await wire.tenant.newKey({ scopes: ['read', 'write'] });
  const expiresAt = new Date(Date.now() + 3_000).toISOString();
  const expiring = await wire.tenant.newKey({ scopes: ['read', 'write'], expiresAt });
  await wire.tenant.json(`/v1/keys/${revoked.id}`, { method: 'DELETE' });
  await waitFor('the key to expire', () => Date.now() > Date.parse(expiresAt), 10_000);
  for (const { method, path } of keyed) {
    expect(failureOf(await ask(method, path, e2bKeyOf(revoked.key)))).toEqual(failure(401, /revoked/));
    expect(failureOf(await ask(method, path, e2bKeyOf(expiring.key)))).toEqual(failure(401, /expired/));
  }
});

test('a read-only key may read and is told what it lacks for the rest', async () => {
  const key = e2bKeyOf((await wire.tenant.newKey({ scopes: ['read'] })).key);
  for (const { method, path } of keyed.filter((route) => route.method !== 'GET')) {
    expect(failureOf(await ask(method, path, key))).toEqual(failure(403, /needs write/));
  }
  for (const { method, path } of keyed.filter((route) => route.method === 'GET')) {
    expect((await ask(method, path, key)).text).not.toContain('needs');
  }
});

test('another tenant’s sandbox, a missing one and a malformed id are answered alike, on every route', async () => {
  const { sandboxID } = await other.create();
  const masked = async (method: string, path: string, id: string): Promise<string> => {
    const { status, text, headers } = await ask(method, path, wire.key, id);
    const told = [...headers].filter(([name]) => !['date', 'x-request-id', 'content-length'].includes(name));
    return `${status} ${JSON.stringify(told)} ${text}`.replaceAll(id, '<id>');
  };
  for (const { method, path } of keyed.filter((route) => route.path.includes('{sandboxID}'))) {
    const foreign = await masked(method, path, sandboxID);
    expect(`${method} ${path} ${foreign}`).toContain(`${path} 404 `);
    for (const id of [missingId, 'nonexistingsandbox', sandboxID.toUpperCase()]) {
      expect(await masked(method, path, id)).toBe(foreign);
    }
    expect(await masked(method, path, '..%2fsandboxes%2fx')).toMatch(/^404 /);
  }
  const { body } = await wire.send('GET', `/sandboxes/metrics?sandbox_ids=${sandboxID},${missingId},x`);
  expect(body).toEqual({ sandboxes: {} });
  expect((await other.send('GET', `/sandboxes/${sandboxID}`)).body).toMatchObject({ state: 'running' });
});

test('a path that there is not is 404, a wrong method 405 with Allow, both in E2B’s shape', async () => {
  for (const { path } of rootPaths.filter(({ surface }) => surface === 'e2b')) {
    expect(failureOf(await wire.send('GET', `${path}/a/b/c/d/e`))).toEqual(failure(404, 'There is no such route.'));
    expect(failureOf(await wire.send('GET', `${path}/a/b/c/d/e`, { key: null }))).toEqual(failure(401, /needed/));
  }
  const wrong = await wire.send('PATCH', '/sandboxes');
  expect(failureOf(wrong)).toEqual(failure(405, 'This path takes GET, HEAD, POST.'));
  expect(wrong.headers.get('allow')).toBe('GET, HEAD, POST');
  expect((await wire.send('PUT', `/sandboxes/${missingId}/timeout`)).headers.get('allow')).toBe('POST');
});

test('what is E2B’s and not served says so', async () => {
  for (const [method, path] of [
    ['POST', '/v3/templates'],
    ['GET', '/volumes'],
    ['POST', '/secrets'],
    ['GET', '/templates/base/builds/x/status'],
    ['GET', '/nodes'],
  ] as const) {
    expect(failureOf(await wire.send(method, path))).toEqual(failure(501, /not served here/));
  }
});

test('Sandbase’s prefix is told that it is not served on the paths that both have, and is any key’s elsewhere', async () => {
  const sandbase = wire.tenant.key.replace(/^gb_/, 'sk-sb-');
  for (const path of ['/sandboxes', '/templates', '/v3/templates', '/sandboxes/a/b/c']) {
    expect(failureOf(await wire.send('GET', path, { key: sandbase }))).toEqual(failure(501, /Sandbase's API/));
  }
  expect(failureOf(await wire.send('GET', '/sandboxes', { key: `sk-sb-${'0'.repeat(40)}` }))).toMatchObject({
    status: 401,
  });
  for (const key of [sandbase, wire.tenant.key, wire.tenant.key.replace(/^gb_/, 'sk-ac-')]) {
    expect((await wire.send('GET', '/v2/sandboxes', { key })).status).toBe(200);
  }
});

test('the bearer that E2B’s CLI sends is a key as well', async () => {
  const headers = { authorization: `Bearer ${wire.key}` };
  expect((await wire.send('GET', '/teams', { key: null, headers })).body).toEqual([
    { teamID: wire.tenant.tenantId, name: expect.any(String) as string, apiKey: wire.key, isDefault: true },
  ]);
});

test('over the rate of a key is 429 with whole seconds in Retry-After', async () => {
  const slow = await createWire({ requestsPerSecond: 1 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => slow.send('GET', '/v2/sandboxes')));
  const refused = answers.find(({ status }) => status === 429);
  if (!refused) throw new Error('none of 8 requests at once was refused');
  expect(failureOf(refused)).toEqual(failure(429, /requests a second/));
  expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
});

test('over the tenant’s quota is 429 as well', async () => {
  const none = await createWire({ maxSandboxes: 0 });
  const refused = await none.send('POST', '/v2/sandboxes', { json: { templateID: 'base' } });
  expect(failureOf(refused)).toEqual(failure(429, /limit is 0 sandboxes/));
  expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
});

test('an unknown host name is refused in E2B’s shape as well', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const headers = { host: 'rebound.example' };
    const call = request(`${wire.url}/sandboxes`, { headers }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    });
    call.on('error', reject).end();
  });
  expect(JSON.parse(text)).toEqual({ code: 403, message: expect.stringMatching(/host name/) as string });
});

test('HEAD is answered as GET without a body', async () => {
  const { sandboxID } = await wire.create();
  const answer = await wire.send('HEAD', `/sandboxes/${sandboxID}`);
  expect([answer.status, answer.text]).toEqual([200, '']);
});

test('bare health is ours', async () => {
  const answer = await wire.send('GET', '/health', { key: null });
  expect([answer.status, answer.body]).toEqual([200, { code: 0, msg: 'ok' }]);
});
