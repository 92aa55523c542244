import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { readOperations, requestFor, type Operation } from './operations.ts';

const operations = await readOperations();
const ofTenants = operations.filter(({ security }) => security === 'key');
const ofAdmin = operations.filter(({ security }) => security === 'admin');
const open = operations.filter(({ security }) => security === 'none');

let own: TestTenant;
let other: TestTenant;

beforeAll(async () => {
  own = await createTenant();
  other = await createTenant();
});
afterAll(() => Promise.all([own.cleanUp(), other.cleanUp()]));

/** null: no key at all. */
const ask = (operation: Operation, key: string | null, ids?: Record<string, string>): Promise<Response> => {
  const { path, init } = requestFor(operation, ids);
  const headers = new Headers(init.headers);
  if (key !== null) headers.set('authorization', `Bearer ${key}`);
  return fetch(`${installation().url}${path}`, { ...init, headers });
};

/** What a refusal says, its request id compared with the header's. */
const refusalOf = async (response: Response) => {
  const body = (await response.json()) as { error: { code: string; message: string; requestId: string } };
  const { code, message, requestId } = body.error;
  return { status: response.status, code, message, traced: requestId === response.headers.get('x-request-id') };
};

const refusal = (status: number, code: string, sentence: RegExp) => ({
  status,
  code,
  message: expect.stringMatching(sentence) as string,
  traced: true,
});

test('the document asks for no key on these operations only', () => {
  expect(open.map(({ id }) => id).sort()).toEqual([
    'getDocs',
    'getHealth',
    'getLiveness',
    'getOpenApi',
    'getReadiness',
    'readMaterial',
  ]);
});

describe.each([...ofTenants, ...ofAdmin])('$id', (operation) => {
  test('without a key is 401', async () => {
    const response = await ask(operation, null);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await refusalOf(response)).toEqual(refusal(401, 'unauthenticated', /API key is needed/));
  });

  test('with a key that there is not, or that is none, is 401', async () => {
    expect(await refusalOf(await ask(operation, `gb_${'0'.repeat(40)}`))).toEqual(
      refusal(401, 'unauthenticated', /no such API key/),
    );
    expect(await refusalOf(await ask(operation, 'nonsense'))).toEqual(
      refusal(401, 'unauthenticated', /not an API key/),
    );
  });
});

test('a revoked key is refused on every operation, at once', async () => {
  const { id, key } = await own.newKey({ scopes: ['read', 'write'] });
  expect((await own.api('/v1/me', { headers: { authorization: `Bearer ${key}` } })).status).toBe(200);
  await own.json(`/v1/keys/${id}`, { method: 'DELETE' });
  for (const operation of ofTenants)
    expect(await refusalOf(await ask(operation, key))).toEqual(refusal(401, 'unauthenticated', /revoked/));
});

test('an expired key is refused on every operation', async () => {
  const expiresAt = new Date(Date.now() + 3_000).toISOString();
  const { key } = await own.newKey({ scopes: ['read', 'write'], expiresAt });
  await waitFor('the key to expire', () => Date.now() > Date.parse(expiresAt), 10_000);
  for (const operation of ofTenants)
    expect(await refusalOf(await ask(operation, key))).toEqual(refusal(401, 'unauthenticated', /expired/));
});

test('a read-only key may GET and nothing else', async () => {
  const { key } = await own.newKey({ scopes: ['read'] });
  for (const operation of ofTenants.filter(({ method }) => method !== 'GET')) {
    expect(await refusalOf(await ask(operation, key))).toEqual(refusal(403, 'permission_denied', /needs write/));
  }
  for (const operation of ofTenants.filter(({ method }) => method === 'GET')) {
    const response = await ask(operation, key);
    await response.body?.cancel();
    expect([200, 400, 404]).toContain(response.status);
  }
});

test('a tenant’s key is no admin key, and the admin key is no tenant’s', async () => {
  for (const operation of ofAdmin)
    expect(await refusalOf(await ask(operation, own.key))).toEqual(refusal(403, 'permission_denied', /admin key/));
  for (const operation of ofTenants) {
    const response = await ask(operation, installation().adminKey);
    expect(await refusalOf(response)).toEqual(refusal(403, 'permission_denied', /tenant's keys/));
  }
});

test('a suspended tenant’s keys are refused, and accepted again after', async () => {
  const tenant = await createTenant();
  const patch = (body: unknown) =>
    fetch(`${installation().url}/v1/tenants/${tenant.tenantId}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${installation().adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  expect((await tenant.api('/v1/me')).status).toBe(200);
  expect((await patch({ suspended: true })).status).toBe(200);
  expect(await refusalOf(await tenant.api('/v1/me'))).toEqual(refusal(401, 'unauthenticated', /suspended/));
  expect((await patch({ suspended: false })).status).toBe(200);
  expect((await tenant.api('/v1/me')).status).toBe(200);
});

test('one key is valid under each prefix, and as X-API-Key', async () => {
  const body = own.key.slice('gb_'.length);
  for (const prefix of ['gb_', 'e2b_', 'sk-ac-', 'sk-sb-']) {
    const response = await fetch(`${installation().url}/v1/me`, { headers: { 'x-api-key': `${prefix}${body}` } });
    expect(response.status).toBe(200);
  }
});

test('another tenant’s sandbox is answered byte for byte as a missing one, on every route', async () => {
  const { id: foreignId } = await other.createSandbox({});
  const missingId = foreignId.slice(0, -4) + (foreignId.endsWith('0000') ? '1111' : '0000');
  expect(missingId).not.toBe(foreignId);
  const masked = async (operation: Operation, sandboxId: string) => {
    const response = await ask(operation, own.key, { sandboxId });
    const requestId = response.headers.get('x-request-id') ?? '';
    const text = `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
    return text
      .replaceAll(requestId, '<request>')
      .replaceAll(sandboxId, '<sandbox>')
      .replace(/"date","[^"]*"/, '"date"');
  };
  for (const operation of ofTenants.filter(({ template }) => template.includes('{sandboxId}'))) {
    const foreign = `${operation.id} ${await masked(operation, foreignId)}`;
    expect(foreign).toBe(`${operation.id} ${await masked(operation, missingId)}`);
    expect(foreign).toMatch(/^\w+ 404 /);
  }
  expect(await other.json(`/v1/sandboxes/${foreignId}`)).toMatchObject({ state: 'running', metadata: {} });
});
