import { inject } from 'vitest';

export interface Address {
  url: string;
  adminKey: string;
}

/** The shared installation of the `system` project. */
export const installation = (): Address => inject('installation');

export interface TestTenant {
  tenantId: string;
  key: string;
  /** A request with this tenant's key. `path` begins with /. A plain object as `json` becomes the body. */
  api(path: string, init?: RequestInit & { json?: unknown }): Promise<Response>;
  /** The same, and the parsed body; throws unless the status is `status`. */
  json<T = Record<string, unknown>>(path: string, init?: RequestInit & { json?: unknown; status?: number }): Promise<T>;
  createSandbox(body?: Record<string, unknown>): Promise<{ id: string } & Record<string, unknown>>;
  /** Another key of the same tenant. */
  newKey(body: Record<string, unknown>): Promise<{ id: string; key: string }>;
  /** Ends every sandbox of the tenant. */
  cleanUp(): Promise<void>;
}

const request = (address: Address, key: string, path: string, init: RequestInit & { json?: unknown } = {}) => {
  const { json, ...rest } = init;
  const headers = new Headers(rest.headers);
  if (!headers.has('authorization')) headers.set('authorization', `Bearer ${key}`);
  if (json !== undefined) headers.set('content-type', 'application/json');
  return fetch(`${address.url}${path}`, {
    ...rest,
    headers,
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
};

const requestJson = async <T>(
  address: Address,
  key: string,
  path: string,
  init: RequestInit & { json?: unknown; status?: number } = {},
): Promise<T> => {
  const { status, ...rest } = init;
  const response = await request(address, key, path, rest);
  const text = await response.text();
  const expected = status ?? 200;
  if (response.status !== expected) {
    throw new Error(
      `${rest.method ?? 'GET'} ${path}: ${response.status}, expected ${expected}: ${text.slice(0, 2000)}`,
    );
  }
  return (text === '' ? {} : JSON.parse(text)) as T;
};

let counter = 0;

/** Each test works under a tenant of its own and calls cleanUp() at its end. */
export const createTenant = async (
  limits: Record<string, unknown> = {},
  address: Address = installation(),
): Promise<TestTenant> => {
  counter += 1;
  const admin = <T>(path: string, json: unknown) =>
    requestJson<T>(address, address.adminKey, path, { method: 'POST', json, status: 201 });
  const tenant = await admin<{ id: string }>('/v1/tenants', {
    name: `test-${process.pid}-${counter}`,
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  });
  const newKey = (body: Record<string, unknown>) =>
    admin<{ id: string; key: string }>(`/v1/tenants/${tenant.id}/keys`, { name: 'test', ...body });
  const { key } = await newKey({ scopes: ['read', 'write', 'admin'] });
  const json = <T>(path: string, init?: RequestInit & { json?: unknown; status?: number }) =>
    requestJson<T>(address, key, path, init);
  return {
    tenantId: tenant.id,
    key,
    newKey,
    json,
    api: (path, init) => request(address, key, path, init),
    createSandbox: (body = {}) => json('/v1/sandboxes', { method: 'POST', json: body, status: 201 }),
    cleanUp: async () => {
      const { sandboxes } = await json<{ sandboxes: { id: string; state: string }[] }>('/v1/sandboxes?limit=100');
      const live = sandboxes.filter((sandbox) => sandbox.state !== 'ended');
      await Promise.all(
        live.map((sandbox) => request(address, key, `/v1/sandboxes/${sandbox.id}`, { method: 'DELETE' })),
      );
    },
  };
};
