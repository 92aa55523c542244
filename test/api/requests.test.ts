import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';
import { readOperations } from './operations.ts';

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await createTenant({ maxTtlSeconds: 600 });
});
afterAll(() => tenant.cleanUp());

const create = (body: BodyInit, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
  tenant.api('/v1/sandboxes', { method: 'POST', body, headers });

const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string; issues?: { path: string }[] } }).error;

describe('a bad request body', () => {
  test.each([
    ['malformed JSON', '{', 400, 'invalid_argument'],
    ['an empty body', '', 400, 'invalid_argument'],
    ['an array', '[]', 400, 'invalid_argument'],
    ['null', 'null', 400, 'invalid_argument'],
  ])('%s is refused', async (_, body, status, code) => {
    const response = await create(body);
    expect([response.status, (await errorOf(response)).code]).toEqual([status, code]);
  });

  test('a missing or other Content-Type is 400', async () => {
    const bytes = new TextEncoder().encode('{}');
    for (const headers of [
      {},
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
    ]) {
      const response = await create(bytes, headers);
      expect(response.status).toBe(400);
      expect((await errorOf(response)).message).toMatch(/Content-Type/);
    }
  });

  test.each([
    ['template', { template: 'there-is-none' }],
    ['template', { template: 7 }],
    ['timeoutSeconds', { timeoutSeconds: 0 }],
    ['timeoutSeconds', { timeoutSeconds: -1 }],
    ['timeoutSeconds', { timeoutSeconds: 1.5 }],
    ['timeoutSeconds', { timeoutSeconds: '60' }],
    ['timeoutSeconds', { timeoutSeconds: 601 }],
    ['cpu', { cpu: 0 }],
    ['cpu', { cpu: 65 }],
    ['memoryMiB', { memoryMiB: 1 }],
    ['metadata.a', { metadata: { a: 1 } }],
    ['metadata.a', { metadata: { a: 'x'.repeat(2049) } }],
    ['metadata', { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, ''])) }],
    ['env.A', { env: { A: 'nul\0' } }],
    ['network', { network: 'maybe' }],
    ['', { bogus: true }],
  ])('names the wrong field: %s %#', async (path, body) => {
    const response = await create(JSON.stringify(body));
    expect(response.status).toBe(400);
    const { code, issues } = await errorOf(response);
    expect(code).toBe('invalid_argument');
    expect(issues?.map((issue) => issue.path)).toContain(path);
  });

  test('10 MB of metadata is 413, with a length and chunked', async () => {
    const text = JSON.stringify({ metadata: { a: 'x'.repeat(10_000_000) } });
    const whole = await create(text);
    expect([whole.status, (await errorOf(whole)).code]).toEqual([413, 'payload_too_large']);
    const init = { method: 'POST', body: new Blob([text]).stream(), duplex: 'half' } as RequestInit;
    const chunked = await tenant.api('/v1/sandboxes', { ...init, headers: { 'content-type': 'application/json' } });
    expect([chunked.status, (await errorOf(chunked)).code]).toEqual([413, 'payload_too_large']);
  });

  test('an Idempotency-Key with a space is refused', async () => {
    const response = await create('{}', { 'content-type': 'application/json', 'idempotency-key': 'a b' });
    expect(response.status).toBe(400);
  });
});

describe('a request that no route takes', () => {
  test('an unknown path is 404 in the same shape', async () => {
    for (const path of ['/v1/nothing', '/v1/sandboxes/a/b/c/d']) {
      const response = await tenant.api(path);
      expect([response.status, (await errorOf(response)).code]).toEqual([404, 'not_found']);
    }
  });

  test('another method is 405 and Allow says which there are', async () => {
    const operations = await readOperations();
    const sandboxes = await tenant.api('/v1/sandboxes', { method: 'PUT' });
    expect(sandboxes.status).toBe(405);
    expect(sandboxes.headers.get('allow')).toBe('GET, HEAD, POST');
    for (const { template, method } of operations.filter(({ security }) => security === 'key')) {
      const response = await tenant.api(template.replaceAll(/\{\w+\}/g, 'x'), { method: 'PROPFIND' });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')?.split(', ')).toContain(method);
    }
  });

  test('a malformed sandbox id is answered as a missing one', async () => {
    const response = await tenant.api('/v1/sandboxes/nonsense');
    expect([response.status, (await errorOf(response)).code]).toEqual([404, 'not_found']);
  });

  test('a foreign cursor is 400', async () => {
    expect((await tenant.api('/v1/sandboxes?cursor=nonsense')).status).toBe(400);
    expect((await tenant.api('/v1/sandboxes?limit=0')).status).toBe(400);
    expect((await tenant.api('/v1/sandboxes?limit=101')).status).toBe(400);
    expect((await tenant.api('/v1/sandboxes?state=gone')).status).toBe(400);
  });
});

describe('every answer', () => {
  test('carries a request id, the caller’s own if it is sane', async () => {
    const made = await tenant.api('/v1/me');
    expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    const kept = await tenant.api('/v1/me', { headers: { 'x-request-id': 'my-request.1' } });
    expect(kept.headers.get('x-request-id')).toBe('my-request.1');
    const replaced = await tenant.api('/v1/me', { headers: { 'x-request-id': 'no good' } });
    expect(replaced.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('tells a browser to run nothing', async () => {
    for (const path of ['/v1/me', '/nothing', '/healthz']) {
      const { headers } = await tenant.api(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    }
  });

  test('HEAD has the status and headers of GET and no body', async () => {
    const response = await tenant.api('/v1/me', { method: 'HEAD' });
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      'application/json',
      '',
    ]);
  });
});

describe('without a key', () => {
  const get = (path: string) => fetch(`${installation().url}${path}`);

  test('/healthz, /health and /readyz answer', async () => {
    expect(await (await get('/healthz')).json()).toEqual({ status: 'ok' });
    expect(await (await get('/health')).json()).toEqual({ code: 0, msg: 'ok' });
    expect(await (await get('/readyz')).json()).toEqual({ status: 'ready', notReady: [] });
  });

  test('/openapi.json is the committed document and /docs shows each of its operations', async () => {
    const document = (await (await get('/openapi.json')).json()) as { openapi: string; paths: object };
    expect(document.openapi).toBe('3.1.0');
    const page = await (await get('/docs')).text();
    for (const { template } of await readOperations()) {
      expect(Object.keys(document.paths)).toContain(template);
      expect(page).toContain(`<code>${template}</code>`);
    }
    expect(page).not.toMatch(/<script|https?:\/\//);
  });

  test('an unknown host name is refused', async () => {
    const { request } = await import('node:http');
    const status = await new Promise((resolve, reject) => {
      const call = request(`${installation().url}/healthz`, { headers: { host: 'rebound.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.on('error', reject).end();
    });
    expect(status).toBe(403);
  });
});

test('an absent body that may be absent is {}: its fields have their defaults', async () => {
  const { id } = await tenant.createSandbox({ timeoutSeconds: 60 });
  const forked = await tenant.api(`/v1/sandboxes/${id}/fork`, { method: 'POST' });
  const { results } = (await forked.json()) as { results: unknown[] };
  expect([forked.status, results]).toMatchObject([201, [{ sandbox: { state: 'running', timeoutSeconds: 300 } }]]);
});
