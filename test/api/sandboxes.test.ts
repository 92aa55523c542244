import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';

let tenant: TestTenant;
beforeEach(async () => {
  tenant = await createTenant();
});
afterEach(() => tenant.cleanUp());

interface Sandbox {
  id: string;
  state: string;
  endReason: string | null;
  expiresAt: string | null;
  metadata: Record<string, string>;
  [field: string]: unknown;
}

const read = (id: string) => tenant.json<Sandbox>(`/v1/sandboxes/${id}`);
const end = (id: string) => tenant.json<Sandbox>(`/v1/sandboxes/${id}`, { method: 'DELETE' });
const post = (id: string, verb: string, json: unknown = {}) =>
  tenant.api(`/v1/sandboxes/${id}/${verb}`, { method: 'POST', json });
const list = (query = '') => tenant.json<{ sandboxes: Sandbox[]; nextCursor: string | null }>(`/v1/sandboxes${query}`);

test('a sandbox that was created can be read at once, as it was answered', async () => {
  const body = { metadata: { purpose: 'test' }, cpu: 1, memoryMiB: 256, timeoutSeconds: 120, timeoutMode: 'idle' };
  const created = await tenant.createSandbox({ ...body, network: 'off' });
  expect(created.id).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  expect(created).toMatchObject({ ...body, network: 'off', state: 'running', template: 'base', endReason: null });
  expect(await read(created.id)).toEqual(created);
});

test('one that has ended stays readable, with its reason and times; ending it again answers the same', async () => {
  const { id } = await tenant.createSandbox();
  const ended = await end(id);
  expect(ended).toMatchObject({ state: 'ended', endReason: 'killed', expiresAt: null });
  expect(typeof ended['endedAt']).toBe('string');
  expect(await end(id)).toEqual(ended);
  expect(await read(id)).toEqual(ended);
});

test('an ended sandbox refuses every change with 410', async () => {
  const { id } = await tenant.createSandbox();
  await end(id);
  expect((await post(id, 'pause')).status).toBe(410);
  expect((await post(id, 'resume')).status).toBe(410);
  expect((await post(id, 'timeout', { timeoutSeconds: 60 })).status).toBe(410);
  const patch = { method: 'PATCH', json: { metadata: { a: 'b' } } };
  expect((await tenant.api(`/v1/sandboxes/${id}`, patch)).status).toBe(410);
  expect((await tenant.api(`/v1/sandboxes/${id}/metrics`)).status).toBe(410);
});

test('pause and resume take turns; out of turn they are 409', async () => {
  const { id } = await tenant.createSandbox();
  const paused = (await (await post(id, 'pause')).json()) as Sandbox;
  expect(paused).toMatchObject({ state: 'paused', memoryKept: true });
  expect(typeof paused['memoryFreed']).toBe('boolean');
  expect((await post(id, 'pause')).status).toBe(409);
  expect((await post(id, 'timeout', { timeoutSeconds: 60 })).status).toBe(409);
  const resumed = (await (await post(id, 'resume', { timeoutSeconds: 100 })).json()) as Sandbox;
  expect(resumed).toMatchObject({ state: 'running', pausedAt: null, timeoutSeconds: 100 });
  expect((await post(id, 'resume')).status).toBe(409);
});

test('the timeout is counted from now and the runner ends the sandbox at it', async () => {
  const { id } = await tenant.createSandbox({ timeoutSeconds: 300 });
  const before = Date.now();
  const answer = (await (await post(id, 'timeout', { timeoutSeconds: 2 })).json()) as Sandbox;
  expect(Date.parse(answer.expiresAt ?? '') - before).toBeGreaterThan(1_000);
  expect(Date.parse(answer.expiresAt ?? '') - before).toBeLessThan(4_000);
  const ended = await waitFor(
    'its end',
    async () => {
      const sandbox = await read(id);
      return sandbox.state === 'ended' && sandbox;
    },
    20_000,
  );
  expect(ended.endReason).toBe('timeout');
});

test('with an idle timeout a sandbox lives as long as it is used, and ends when it is not', async () => {
  const { id } = await tenant.createSandbox({ timeoutSeconds: 2, timeoutMode: 'idle' });
  const startedAt = performance.now();
  const use = async () => {
    await tenant.json(`/v1/sandboxes/${id}/exec`, { method: 'POST', json: { command: 'true' } });
    return performance.now() - startedAt > 4_500;
  };
  await waitFor('more than two timeouts of use', use, 10_000, 500);
  const unusedFrom = performance.now();
  const path = `/v1/sandboxes/${id}/files/stat?path=/`;
  const ended = async () => (await read(id)).state === 'ended';
  await waitFor('its end', ended, 15_000, 200);
  expect(performance.now() - unusedFrom).toBeGreaterThan(1_900);
  expect(await read(id)).toMatchObject({ endReason: 'timeout' });
  expect((await tenant.api(path)).status).toBe(410);
});

test('a command that runs keeps an idle-mode sandbox alive, however long and silent it is', async () => {
  const { id } = await tenant.createSandbox({ timeoutSeconds: 3, timeoutMode: 'idle' });
  const json = { command: 'sleep 7; echo alive' };
  const answer = await tenant.json<{ stdout: string }>(`/v1/sandboxes/${id}/exec`, { method: 'POST', json });
  expect(answer.stdout).toBe('alive\n');
});

test('paused time counts for no timeout; a pause has an end of its own, and says when', async () => {
  const own = await createTenant({ maxTtlSeconds: 8 });
  const { id } = await own.createSandbox({ timeoutSeconds: 3, timeoutMode: 'idle' });
  const before = Date.now();
  const paused = await own.json<Sandbox>(`/v1/sandboxes/${id}/pause`, { method: 'POST', json: {} });
  const pauseMs = Date.parse(paused.expiresAt ?? '') - before;
  expect(pauseMs).toBeGreaterThan(7_000);
  expect(pauseMs).toBeLessThan(20_000);
  const state = async () => (await own.json<Sandbox>(`/v1/sandboxes/${id}`)).state;
  await waitFor('longer than its timeout', () => Date.now() - before > 4_500, 8_000);
  expect(await state()).toBe('paused');
  await waitFor('the end of the pause', async () => (await state()) === 'ended', 25_000, 200);
  expect(Date.now() - before).toBeGreaterThan(7_900);
  expect((await own.json<Sandbox>(`/v1/sandboxes/${id}`)).endReason).toBe('timeout');
});

test('in a paused sandbox nothing can be begun: commands, processes, files and metrics are 409 until it is resumed', async () => {
  const { id } = await tenant.createSandbox();
  await post(id, 'pause');
  const get = (path: string) => tenant.api(`/v1/sandboxes/${id}/${path}`);
  const answers = [
    await post(id, 'exec', { command: 'true' }),
    await post(id, 'processes', { command: 'true' }),
    await get('processes'),
    await get('files/stat?path=/'),
    await get('files/content?path=/etc/hostname'),
    await get('metrics'),
  ];
  for (const answer of answers) {
    const { error } = (await answer.json()) as { error: { code: string } };
    expect([answer.status, error.code]).toEqual([409, 'sandbox_not_running']);
  }
  await post(id, 'resume');
  expect((await post(id, 'exec', { command: 'true' })).status).toBe(200);
});

test('a kill with a grace lets processes end by themselves first, and does not wait longer than that', async () => {
  const { id } = await tenant.createSandbox();
  const start = (command: string) => post(id, 'processes', { command });
  const events = async (answer: Response) => {
    const { processId } = (await answer.json()) as { processId: string };
    return tenant.api(`/v1/sandboxes/${id}/processes/${processId}/events`);
  };
  const polite = await events(
    await start('trap "echo bye; exit 7" TERM; touch /tmp/polite; while :; do sleep 0.1; done'),
  );
  await start('trap "" TERM; touch /tmp/stubborn; while :; do sleep 1; done');
  await post(id, 'exec', { command: 'until [ -e /tmp/polite ] && [ -e /tmp/stubborn ]; do sleep 0.02; done' });
  const said = polite.text();
  const startedAt = performance.now();
  await tenant.json(`/v1/sandboxes/${id}?graceSeconds=1`, { method: 'DELETE' });
  expect(performance.now() - startedAt).toBeGreaterThan(900);
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  expect(await said).toMatch(/bye[^]*"exitCode":7/);
});

test('a timeout over the tenant’s limit is 400 wherever one is given, and changes nothing', async () => {
  const own = await createTenant({ maxTtlSeconds: 600 });
  const { id } = await own.createSandbox({ timeoutSeconds: 600 });
  const give = (path: string) => own.api(path, { method: 'POST', json: { timeoutSeconds: 601 } });
  expect((await give('/v1/sandboxes')).status).toBe(400);
  expect((await give(`/v1/sandboxes/${id}/timeout`)).status).toBe(400);
  await own.json(`/v1/sandboxes/${id}/pause`, { method: 'POST' });
  expect((await give(`/v1/sandboxes/${id}/resume`)).status).toBe(400);
  expect(await own.json(`/v1/sandboxes/${id}`)).toMatchObject({ state: 'paused', timeoutSeconds: 600 });
  await own.cleanUp();
});

test('timeouts set at the same time all succeed', async () => {
  const { id } = await tenant.createSandbox();
  const answers = await Promise.all([60, 61, 62, 63].map((timeoutSeconds) => post(id, 'timeout', { timeoutSeconds })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

test('a metadata patch sets, replaces and removes, and two at once both hold', async () => {
  const { id } = await tenant.createSandbox({ metadata: { keep: '1', drop: '2' } });
  const patch = (metadata: object) =>
    tenant.json<Sandbox>(`/v1/sandboxes/${id}`, { method: 'PATCH', json: { metadata } });
  await Promise.all([patch({ drop: null }), patch({ add: 'ü"\\' }), patch({ keep: '3' })]);
  expect((await read(id)).metadata).toEqual({ keep: '3', add: 'ü"\\' });
  const many = Object.fromEntries(Array.from({ length: 63 }, (_, index) => [`k${index}`, 'v']));
  expect((await tenant.api(`/v1/sandboxes/${id}`, { method: 'PATCH', json: { metadata: many } })).status).toBe(400);
});

describe('listing', () => {
  test('shows the tenant’s own by metadata and state, ended ones only when asked', async () => {
    const [a, b] = [
      await tenant.createSandbox({ metadata: { kind: 'a', 'odd "key"': 'x=y' } }),
      await tenant.createSandbox({ metadata: { kind: 'b' } }),
    ];
    await end(b.id);
    expect((await list()).sandboxes.map(({ id }) => id)).toEqual([a.id]);
    expect((await list('?state=ended')).sandboxes.map(({ id }) => id)).toEqual([b.id]);
    expect((await list('?state=running,ended')).sandboxes.map(({ id }) => id)).toEqual([b.id, a.id]);
    expect((await list('?metadata=kind%3Da&metadata=odd%20%22key%22%3Dx%3Dy')).sandboxes).toHaveLength(1);
    expect((await list('?metadata=kind%3Dc')).sandboxes).toHaveLength(0);
  });

  test('goes page by page through each once', async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => tenant.createSandbox()));
    const seen: string[] = [];
    let query = '?limit=2';
    for (;;) {
      const { sandboxes, nextCursor } = await list(query);
      seen.push(...sandboxes.map(({ id }) => id));
      if (nextCursor === null) break;
      query = `?limit=2&cursor=${nextCursor}`;
    }
    expect(seen.toSorted()).toEqual(made.map(({ id }) => id).toSorted());
  });
});

test('logs tell the life and the execs in order, page by page', async () => {
  const { id } = await tenant.createSandbox();
  await tenant.json(`/v1/sandboxes/${id}/exec`, { method: 'POST', json: { command: 'echo logged; exit 3' } });
  type Entry = { type: string; event?: string; command?: string; exitCode?: number };
  const logs = (query: string) =>
    tenant.json<{ entries: Entry[]; nextCursor: string | null }>(`/v1/sandboxes/${id}/logs${query}`);
  const exec = await waitFor(
    'the exec to be reported',
    async () => (await logs('')).entries.find(({ type }) => type === 'exec'),
    20_000,
  );
  expect(exec).toMatchObject({ command: 'echo logged; exit 3', exitCode: 3 });
  await end(id);
  const paged: Entry[] = [];
  let query = '?limit=1';
  for (;;) {
    const { entries, nextCursor } = await logs(query);
    paged.push(...entries);
    if (nextCursor === null) break;
    query = `?limit=1&cursor=${nextCursor}`;
  }
  expect(paged).toEqual((await logs('')).entries);
  expect(paged.map(({ type, event }) => event ?? type)).toEqual(['created', 'running', 'exec', 'ended']);
});

test('metrics are the host’s account of the sandbox', async () => {
  const { id } = await tenant.createSandbox({ memoryMiB: 256, cpu: 1 });
  const metrics = await tenant.json<{ memory: { limitBytes: number; usedBytes: number }; processes: number }>(
    `/v1/sandboxes/${id}/metrics`,
  );
  expect(metrics.memory.limitBytes).toBe(256 * 1024 * 1024);
  expect(metrics.memory.usedBytes).toBeGreaterThan(0);
  expect(metrics.processes).toBeGreaterThan(0);
});
