import { Sandbox, Template } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';
import { createWire, failure, failureOf, type Wire } from './wire.ts';

let wire: Wire;
let e2b: E2b;
beforeAll(async () => {
  [wire, e2b] = await Promise.all([createWire(), createE2b()]);
});
afterAll(() => Promise.all([wire.tenant.cleanUp(), e2b.cleanUp()]));

const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string;
const whole = expect.toSatisfy((value) => Number.isInteger(value)) as number;

describe('templates', () => {
  test('are listed whole, and by pages', async () => {
    const base = {
      templateID: 'base',
      buildID: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      cpuCount: 2,
      memoryMB: 512,
      diskSizeMB: 0,
      public: true,
      aliases: ['base'],
      names: ['base'],
      createdAt: iso,
      updatedAt: iso,
      createdBy: null,
      lastSpawnedAt: null,
      spawnCount: 0,
      buildCount: 1,
      envdVersion: '0.6.13',
      buildStatus: 'ready',
    };
    expect((await wire.send('GET', '/templates')).body).toContainEqual(base);
    expect((await wire.send('GET', `/templates?teamID=${wire.tenant.tenantId}`)).body).toContainEqual(base);
    const names: string[] = [];
    let token: string | null = '';
    while (token !== null && names.length < 100) {
      const page: Awaited<ReturnType<Wire['send']>> = await wire.send(
        'GET',
        `/v2/templates?limit=1${token === '' ? '' : `&nextToken=${token}`}`,
      );
      for (const { templateID } of page.body as { templateID: string }[]) names.push(templateID);
      token = page.headers.get('x-next-token');
    }
    const all = (await wire.send('GET', '/templates')).body as { templateID: string }[];
    expect(names).toEqual(all.map(({ templateID }) => templateID));
    expect(failureOf(await wire.send('GET', '/v2/templates?nextToken=x'))).toEqual(failure(400, 'Invalid next token'));
    expect(failureOf(await wire.send('GET', '/templates?teamID=ten_other'))).toEqual(failure(403, /not authorized/));
  });

  test('are found by name, with a team and a tag too', async () => {
    expect((await wire.send('GET', '/templates/base')).body).toMatchObject({
      templateID: 'base',
      builds: [{ status: 'ready', envdVersion: '0.6.13' }],
    });
    const alias = (name: string) => wire.send('GET', `/templates/aliases/${encodeURIComponent(name)}`);
    expect((await alias('base:default')).body).toEqual({ templateID: 'base', public: true });
    expect(failureOf(await alias('nothing'))).toEqual(failure(404, "template 'nothing' not found"));
    expect(failureOf(await alias('a/b/c'))).toEqual(failure(400, /Invalid template reference/));
    expect(await Template.exists('base', e2b.options)).toBe(true);
    expect(await Template.exists('nothing', e2b.options)).toBe(false);
  });
});

describe('keys', () => {
  test('are made, listed without their secrets and removed', async () => {
    const made = await wire.send('POST', '/api-keys', { json: { name: 'second' } });
    expect(made).toMatchObject({ status: 201, body: { name: 'second', createdAt: iso, lastUsed: null } });
    const { id, key } = made.body as { id: string; key: string };
    expect(key).toMatch(/^e2b_[0-9a-f]{40}$/);
    const listed = (await wire.send('GET', '/api-keys', { key })).body;
    const mask = { prefix: 'e2b_', valueLength: 40, maskedValuePrefix: '', maskedValueSuffix: key.slice(-4) };
    expect(listed).toContainEqual({
      id,
      name: 'second',
      mask,
      createdAt: iso,
      createdBy: null,
      lastUsed: expect.anything(),
    });
    expect(JSON.stringify(listed)).not.toContain(key.slice(4));
    expect((await wire.send('DELETE', `/api-keys/${id}`)).status).toBe(204);
    expect((await wire.send('GET', '/teams', { key })).status).toBe(401);
    expect(JSON.stringify((await wire.send('GET', '/api-keys')).body)).not.toContain(id);
    expect(failureOf(await wire.send('DELETE', '/api-keys/unknown'))).toEqual(failure(404, /no API key/));
  });

  test('never reach further or last longer than the one that makes them', async () => {
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    const { key } = await wire.tenant.newKey({ scopes: ['write'], expiresAt });
    const made = await wire.send('POST', '/api-keys', { key, json: { name: 'child' } });
    const { id } = made.body as { id: string };
    const { keys } = await wire.tenant.json<{ keys: { id: string; scopes: string[]; expiresAt: string }[] }>(
      '/v1/keys',
    );
    expect(keys.find((candidate) => candidate.id === id)).toMatchObject({ scopes: ['read', 'write'], expiresAt });
  });
});

test('metrics are E2B’s, of one and of many, within the range that is asked for', async () => {
  const sandbox = await e2b.create();
  const samples = await waitFor(
    'a sample',
    async () => {
      const found = await sandbox.getMetrics();
      return found.length > 0 ? found : undefined;
    },
    15_000,
  );
  expect(samples[0]).toMatchObject({ timestamp: expect.any(Date) as Date, cpuCount: 2, memTotal: 512 * 1024 ** 2 });
  for (const value of Object.values(samples[0] ?? {}).filter((field) => typeof field === 'number')) {
    expect(value).toBeGreaterThanOrEqual(0);
  }
  const long = { start: new Date(Date.now() - 3_600_000), end: new Date(Date.now() - 1_800_000) };
  expect(await sandbox.getMetrics(long)).toEqual([]);
  expect(await Sandbox.getMetrics(sandbox.sandboxId, { ...e2b.options, start: long.start })).not.toEqual([]);

  const key = e2b.options.apiKey;
  const path = `/sandboxes/metrics?sandbox_ids=${sandbox.sandboxId},00000000000040008000000000000000`;
  const { body } = await wire.send('GET', path, { key });
  expect(body).toEqual({
    sandboxes: {
      [sandbox.sandboxId]: {
        timestamp: iso,
        timestampUnix: whole,
        cpuCount: 2,
        cpuUsedPct: expect.any(Number) as number,
        memUsed: whole,
        memTotal: 512 * 1024 ** 2,
        memCache: whole,
        diskUsed: whole,
        diskTotal: whole,
      },
    },
  });
  const many = Array.from({ length: 101 }, () => 'x').join(',');
  expect(failureOf(await wire.send('GET', `/sandboxes/metrics?sandbox_ids=${many}`))).toEqual(
    failure(400, /maximum is 100/),
  );
  expect(failureOf(await wire.send('GET', '/sandboxes/metrics'))).toEqual(failure(400, /sandbox_ids/));
});

test('logs tell what happened and what ran, forwards, backwards, searched', async () => {
  const sandbox = await e2b.create();
  await sandbox.commands.run('echo first');
  await expect(sandbox.commands.run('exit 7')).rejects.toMatchObject({ exitCode: 7 });
  const get = (path: string) => wire.send('GET', path, { key: e2b.options.apiKey });
  const v1 = `/sandboxes/${sandbox.sandboxId}/logs`;
  interface Line {
    timestamp: string;
    level: string;
    message: string;
    fields: Record<string, string>;
  }
  const linesOf = async (query: string) => ((await get(`/v2${v1}${query}`)).body as { logs: Line[] }).logs;
  await waitFor('what ran to be on record', async () => (await linesOf('')).length >= 4, 15_000);

  const { body } = await get(v1);
  const { logs, logEntries } = body as { logs: { timestamp: string; line: string }[]; logEntries: Line[] };
  expect(logEntries.map(({ fields }) => fields['event'] ?? fields['exitCode'])).toEqual([
    'created',
    'running',
    '0',
    '7',
  ]);
  expect(logs.map(({ line }) => JSON.parse(line) as unknown)).toMatchObject([
    { level: 'info', logger: 'lifecycle', event: 'created' },
    { level: 'info', logger: 'lifecycle' },
    { level: 'info', logger: 'process', exitCode: '0' },
    { level: 'warn', logger: 'process', exitCode: '7' },
  ]);
  expect((await linesOf('?direction=forward')).map(({ message }) => message)).toEqual(
    logEntries.map(({ message }) => message),
  );
  expect((await linesOf('?limit=1'))[0]?.message).toBe(logEntries.at(-1)?.message);
  expect(await linesOf('?level=warn')).toHaveLength(1);
  expect(await linesOf('?search=first')).toHaveLength(1);
  expect(await linesOf(`?direction=forward&cursor=${Date.now() + 60_000}`)).toEqual([]);
  expect((await get(`${v1}?start=${Date.now() + 60_000}`)).body).toEqual({ logs: [], logEntries: [] });
  for (const query of ['?limit=1001', '?direction=up', '?level=loud', '?cursor=-1', `?search=${'x'.repeat(257)}`]) {
    expect((await get(`/v2${v1}${query}`)).status).toBe(400);
  }
});

test('a team’s metrics are its own only, and count what started', async () => {
  const own = await createWire();
  try {
    await own.create();
    const path = `/teams/${own.tenant.tenantId}/metrics`;
    const end = Math.ceil(Date.now() / 1000) + 60;
    const points = (await own.send('GET', `${path}?start=${end - 600}&end=${end}`)).body as Record<string, unknown>[];
    expect(points.at(-1)).toEqual({ timestamp: iso, timestampUnix: end, concurrentSandboxes: 1, sandboxStartRate: 0 });
    const max = (metric: string) => own.send('GET', `${path}/max?metric=${metric}&start=${end - 600}&end=${end}`);
    expect((await max('concurrent_sandboxes')).body).toEqual({ timestamp: iso, timestampUnix: whole, value: 1 });
    expect((await max('sandbox_start_rate')).body).toMatchObject({ value: expect.closeTo(0.2, 5) as number });
    expect((await max('anything')).status).toBe(400);
    expect((await own.send('GET', path)).status).toBe(200);
    for (const id of [wire.tenant.tenantId, 'ten_nobody']) {
      expect(failureOf(await own.send('GET', `/teams/${id}/metrics`))).toEqual(failure(403, /not authorized/));
    }
    expect(failureOf(await own.send('GET', `${path}?start=10&end=10`))).toEqual(failure(400, /must end after/));
    expect(failureOf(await own.send('GET', `${path}?start=0`))).toEqual(failure(400, /at most 31 days/));
  } finally {
    await own.tenant.cleanUp();
  }
});
