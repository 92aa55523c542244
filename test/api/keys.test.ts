import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await createTenant({ maxSandboxes: 3 });
});
afterAll(() => tenant.cleanUp());

interface Key {
  id: string;
  key: string;
  hint: string;
  scopes: string[];
  revokedAt: string | null;
  lastUsedAt: string | null;
}

const withKey = (key: string, path: string, method = 'GET', json?: unknown) =>
  tenant.api(path, { method, json, headers: { authorization: `Bearer ${key}` } });

test('a key is shown once and never again', async () => {
  const created = await tenant.json<Key>('/v1/keys', { method: 'POST', json: { name: 'once' }, status: 201 });
  expect(created.key).toMatch(/^gb_[0-9a-f]{40}$/);
  expect(created.hint).toBe(created.key.slice(-4));
  expect(created.scopes).toEqual(['read', 'write']);
  const text = await (await tenant.api('/v1/keys')).text();
  expect(text).toContain(created.id);
  expect(text).not.toContain(created.key.slice(3));
});

test('a key gives no more than it has: neither scopes nor time', async () => {
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const { key } = await tenant.newKey({ scopes: ['read', 'write'], expiresAt });
  const make = async (json: object) => (await withKey(key, '/v1/keys', 'POST', { name: 'child', ...json })).status;
  expect(await make({ scopes: ['admin'], expiresAt })).toBe(403);
  expect(await make({ scopes: ['read'] })).toBe(403);
  expect(await make({ scopes: ['read'], expiresAt: new Date(Date.now() + 120_000).toISOString() })).toBe(403);
  expect(await make({ scopes: ['read'], expiresAt })).toBe(201);
});

test('a key cannot revoke a wider one', async () => {
  const { key } = await tenant.newKey({ scopes: ['write'] });
  const { id } = await tenant.newKey({ scopes: ['admin'] });
  expect((await withKey(key, `/v1/keys/${id}`, 'DELETE')).status).toBe(403);
  expect((await withKey(tenant.key, `/v1/keys/${id}`, 'DELETE')).status).toBe(200);
});

test('revoking twice is no error and keeps the first time; another tenant’s key is missing', async () => {
  const { id } = await tenant.newKey({ scopes: ['read'] });
  const first = await tenant.json<Key>(`/v1/keys/${id}`, { method: 'DELETE' });
  const second = await tenant.json<Key>(`/v1/keys/${id}`, { method: 'DELETE' });
  expect(first.revokedAt).not.toBeNull();
  expect(second.revokedAt).toBe(first.revokedAt);
  const other = await createTenant();
  expect((await other.api(`/v1/keys/${id}`, { method: 'DELETE' })).status).toBe(404);
});

test('a key that would be born expired is refused', async () => {
  const json = { name: 'late', expiresAt: new Date(Date.now() - 1000).toISOString() };
  expect((await tenant.api('/v1/keys', { method: 'POST', json })).status).toBe(400);
});

test('keys are listed newest first, page by page, each once', async () => {
  const own = await createTenant();
  for (let made = 0; made < 4; made += 1) await own.newKey({ scopes: ['read'] });
  const seen: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const page: { keys: Key[]; nextCursor: string | null } = await own.json(`/v1/keys?limit=2${query}`);
    seen.push(...page.keys.map((key) => key.id));
    cursor = page.nextCursor;
  }
  expect(seen).toHaveLength(5);
  expect(new Set(seen).size).toBe(5);
});

test('/v1/me tells the tenant, its limits and the key', async () => {
  expect(await tenant.json('/v1/me')).toMatchObject({
    tenant: { id: tenant.tenantId, limits: { maxSandboxes: 3 } },
    key: { scopes: ['read', 'write', 'admin'], expiresAt: null },
  });
});

test('the administrator changes a tenant’s limits, and they hold at once', async () => {
  const own = await createTenant({ maxTtlSeconds: 60 });
  const { url, adminKey } = installation();
  const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
  const tooLong = () => own.api('/v1/sandboxes', { method: 'POST', json: { timeoutSeconds: 61, template: 'none' } });
  expect(await (await tooLong()).text()).toContain('limit of 60 seconds');
  const body = JSON.stringify({ limits: { maxTtlSeconds: 50 } });
  expect((await fetch(`${url}/v1/tenants/${own.tenantId}`, { method: 'PATCH', headers, body })).status).toBe(200);
  expect(await (await tooLong()).text()).toContain('limit of 50 seconds');
  const read = await fetch(`${url}/v1/tenants/${own.tenantId}`, { headers });
  expect(await read.json()).toMatchObject({ id: own.tenantId, limits: { maxTtlSeconds: 50 } });
  const missing = await fetch(`${url}/v1/tenants/ten_none/keys`, { method: 'POST', headers, body: '{"name":"x"}' });
  expect(missing.status).toBe(404);
});
