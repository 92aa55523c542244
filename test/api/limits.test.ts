import { afterEach, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';

let tenant: TestTenant | undefined;
afterEach(() => tenant?.cleanUp());

const create = (own: TestTenant, json: unknown = {}, headers: Record<string, string> = {}) =>
  own.api('/v1/sandboxes', { method: 'POST', json, headers });

test('the tenant’s number of sandboxes holds when they are asked for at once, and an ended one makes room', async () => {
  tenant = await createTenant({ maxSandboxes: 2 });
  const own = tenant;
  const answers = await Promise.all(Array.from({ length: 6 }, () => create(own)));
  const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
  expect(statuses).toEqual([201, 201, 429, 429, 429, 429]);
  const refused = answers.find(({ status }) => status === 429);
  expect(refused?.headers.get('retry-after')).toMatch(/^\d+$/);
  expect(await refused?.text()).toMatch(/quota_exceeded.*2 sandboxes/);
  await own.cleanUp();
  expect((await create(own)).status).toBe(201);
});

test('vCPU and memory are limited in sum: what can never fit is 400, what does not fit now 429', async () => {
  tenant = await createTenant({ maxCpus: 3, maxMemoryMiB: 600 });
  expect((await create(tenant, { cpu: 4 })).status).toBe(400);
  expect((await create(tenant, { memoryMiB: 601 })).status).toBe(400);
  expect((await create(tenant, { cpu: 2, memoryMiB: 256 })).status).toBe(201);
  expect(await (await create(tenant, { cpu: 2, memoryMiB: 64 })).text()).toMatch(/3 vCPU/);
  expect(await (await create(tenant, { cpu: 1, memoryMiB: 512 })).text()).toMatch(/600 MiB/);
  expect((await create(tenant, { cpu: 1, memoryMiB: 256 })).status).toBe(201);
});

test('a replayed create answers the same sandbox and says so', async () => {
  tenant = await createTenant();
  const headers = { 'idempotency-key': crypto.randomUUID() };
  const first = await create(tenant, { metadata: { a: '1', b: '2' } }, headers);
  const replay = await create(tenant, { metadata: { b: '2', a: '1' } }, headers);
  expect([first.headers.get('idempotency-replayed'), replay.headers.get('idempotency-replayed')]).toEqual([
    null,
    'true',
  ]);
  expect(replay.status).toBe(201);
  expect(await replay.json()).toEqual(await first.json());
  expect((await create(tenant, {}, headers)).status).toBe(422);
});

test('a key over its rate gets 429 with Retry-After, and is served again after it', async () => {
  tenant = await createTenant({ requestsPerSecond: 5 });
  const own = tenant;
  tenant = undefined;
  const answers = await Promise.all(Array.from({ length: 100 }, () => own.api('/v1/me')));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(answers.length - refused.length).toBeGreaterThan(0);
  for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  await waitFor('the next slice', async () => (await own.api('/v1/me')).status === 200, 5_000, 200);
});
