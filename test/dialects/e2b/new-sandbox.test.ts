import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWire, failure, failureOf, type Wire } from './wire.ts';

let wire: Wire;
beforeAll(async () => {
  wire = await createWire();
});
afterAll(() => wire.tenant.cleanUp());

const make = (version: 'v1' | 'v2', body: Record<string, unknown>) =>
  wire.send('POST', version === 'v1' ? '/sandboxes' : '/v2/sandboxes', { json: { templateID: 'base', ...body } });

const secondsLeft = async (sandboxID: string): Promise<number> => {
  const { body } = await wire.send('GET', `/sandboxes/${sandboxID}`);
  const { startedAt, endAt } = body as { startedAt: string; endAt: string };
  return Math.round((Date.parse(endAt) - Date.parse(startedAt)) / 1000);
};

describe('a new sandbox', () => {
  test('is answered in E2B’s shape, and lives 15 s in version 1 and 300 s in version 2', async () => {
    for (const [version, seconds] of [
      ['v1', 15],
      ['v2', 300],
    ] as const) {
      const { status, body } = await make(version, {});
      expect(status).toBe(201);
      const { sandboxID } = body as { sandboxID: string };
      expect(body).toEqual({
        templateID: 'base',
        alias: 'base',
        sandboxID: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
        clientID: expect.any(String) as string,
        envdVersion: '0.6.13',
        envdAccessToken: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        trafficAccessToken: null,
        domain: expect.stringMatching(/^sandbox\.localhost:\d+$/) as string,
      });
      expect(Math.abs((await secondsLeft(sandboxID)) - seconds)).toBeLessThanOrEqual(1);
    }
  });

  test('has no envd token only where version 1 says secure: false', async () => {
    const open = await make('v1', { secure: false });
    expect(open.body).not.toHaveProperty('envdAccessToken');
    const { sandboxID } = open.body as { sandboxID: string };
    expect((await wire.send('GET', `/sandboxes/${sandboxID}`)).body).not.toHaveProperty('envdAccessToken');
    for (const [version, body] of [
      ['v1', {}],
      ['v1', { secure: true }],
      ['v2', { secure: false }],
    ] as const) {
      expect((await make(version, body)).body).toHaveProperty('envdAccessToken');
    }
  });

  test('has a traffic token where its ports are not public, the same whenever it is told', async () => {
    const network = { allowPublicTraffic: false, maskRequestHost: 'localhost:${PORT}' };
    const { body } = await make('v2', { network });
    const { sandboxID, trafficAccessToken, envdAccessToken } = body as Record<string, string>;
    expect(trafficAccessToken).toMatch(/^[0-9a-f]{64}$/);
    const connected = await wire.send('POST', `/v2/sandboxes/${sandboxID}/connect`, { json: {} });
    expect(connected).toMatchObject({ status: 200, body: { trafficAccessToken, envdAccessToken } });
    const info = await wire.send('GET', `/sandboxes/${sandboxID}`);
    expect(info.body).toMatchObject({ envdAccessToken, network, allowInternetAccess: true });
    expect(info.body).not.toHaveProperty('trafficAccessToken');
  });

  test('without internet access says so, and keeps what else it may reach', async () => {
    const network = { allowOut: ['1.1.1.1'], denyOut: ['8.8.8.8'] };
    const { body } = await make('v2', { allow_internet_access: false, network });
    const info = await wire.send('GET', `/sandboxes/${(body as { sandboxID: string }).sandboxID}`);
    expect(info.body).toMatchObject({ allowInternetAccess: false, network });
  });

  test('takes everything that E2B’s clients send, and what is empty as absent', async () => {
    const { status, text } = await make('v1', {
      timeout: 60,
      autoPause: true,
      autoPauseMemory: true,
      autoResume: { enabled: true },
      secure: true,
      allow_internet_access: true,
      network: { allowOut: [], denyOut: [], rules: {}, egressProxy: null, httpsPorts: [] },
      metadata: { purpose: 'test' },
      envVars: { A: '1' },
      mcp: null,
      iam: { tokens: {} },
      volumeMounts: [],
      aFieldOfTomorrow: true,
    });
    expect([status, text]).toEqual([201, expect.any(String)]);
  });

  test('is of the template by its name, with the default tag, and under the team', async () => {
    const team = (await wire.tenant.json<{ tenant: { name: string } }>('/v1/me')).tenant.name;
    for (const templateID of ['base', ' Base ', 'base:default', `${team}/base`, `${team}/base:default`]) {
      expect((await make('v2', { templateID, timeout: 5 })).body).toMatchObject({ templateID: 'base' });
    }
  });

  test.each([
    ['nothing', 'nothing', 404, "template 'nothing' not found"],
    ['somebody/base', 'somebody/base', 404, "template 'somebody/base' not found"],
    ['base:v2', 'base:v2', 404, "tag 'v2' does not exist for template 'base'"],
    ['no reference', 'no reference', 400, /Invalid template reference/],
    ['a long one', 'x'.repeat(257), 400, /at most 256/],
    ['none', '', 400, /must not be empty/],
  ])('of %s is refused', async (_, templateID, status, message) => {
    expect(failureOf(await make('v2', { templateID }))).toEqual(failure(status, message));
  });

  test.each<[string, Record<string, unknown>, number, RegExp | string]>([
    ['no time', { timeout: 0 }, 400, 'Timeout must be greater than 0'],
    ['too long', { timeout: 86_401 }, 400, 'Timeout cannot be greater than 24 hours'],
    ['a time that is none', { timeout: -1 }, 400, /^timeout: /],
    ['half a second', { timeout: 0.5 }, 400, /^timeout: /],
    ['a time beyond 32 bits', { timeout: 2 ** 31 }, 400, /^timeout: /],
    ['metadata of numbers', { metadata: { a: 1 } }, 400, /^metadata\.a: /],
    ['much metadata', { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [at, ''])) }, 400, /64/],
    ['a variable with =', { envVars: { 'a=b': '' } }, 400, /^envVars/],
    [
      'large variables',
      { envVars: { a: 'x'.repeat(130_000), b: 'x'.repeat(130_000), c: 'x'.repeat(9_000) } },
      400,
      /^envVars/,
    ],
    ['dropped memory without a pause', { autoPauseMemory: false }, 400, /only applies when autoPause/],
    [
      'dropped memory that traffic wakes',
      { autoPause: true, autoPauseMemory: false, autoResume: { enabled: true } },
      400,
      /cannot be combined with autoResume/,
    ],
    ['open and not public', { secure: false, network: { allowPublicTraffic: false } }, 400, /has to be secure/],
    ['a host that is none', { network: { maskRequestHost: 'a b' } }, 400, /mask request host is not valid/],
    ['an unknown network rule', { network: { denyIn: ['10.0.0.0/8'] } }, 400, /^network: /],
    ['volumes', { volumeMounts: [{ name: 'a', path: '/a' }] }, 501, /Volume mounts/],
    ['workload tokens', { iam: { tokens: { a: { audience: 'b', tokenType: 'JWT-SVID' } } } }, 501, /iam/],
    ['a proxy', { network: { egressProxy: { address: 'a:1' } } }, 501, /egressProxy/],
    ['header rules', { network: { rules: { 'a.example': [] } } }, 501, /rules/],
    ['TLS inside', { network: { httpsPorts: [443] } }, 501, /httpsPorts/],
  ])('with %s is refused', async (_, body, status, message) => {
    expect(failureOf(await make('v1', body))).toEqual(failure(status, message));
  });

  test('in a body that is no JSON, or is not said to be, is refused', async () => {
    const send = (body: string, type: string) =>
      fetch(new URL('/sandboxes', wire.url), {
        method: 'POST',
        body,
        headers: { 'x-api-key': wire.key, 'content-type': type },
      });
    const broken = await send('{', 'application/json');
    expect([broken.status, await broken.json()]).toEqual([400, { code: 400, message: 'The body is not JSON.' }]);
    const untyped = await send('{}', 'text/plain');
    expect([untyped.status, await untyped.json()]).toMatchObject([400, { code: 400 }]);
    expect(failureOf(await wire.send('POST', '/sandboxes'))).toEqual(failure(400, /needs a JSON body/));
    const large = await send(JSON.stringify({ templateID: 'x'.repeat(3_000_000) }), 'application/json');
    expect([large.status, await large.json()]).toMatchObject([413, { code: 413 }]);
  });
});

describe('a sandbox by its id', () => {
  test('is the same with a client id behind it, on every route', async () => {
    const { sandboxID } = await wire.create();
    const long = `${sandboxID}-6532622b`;
    expect((await wire.send('GET', `/sandboxes/${long}`)).body).toMatchObject({ sandboxID });
    const statuses = [
      await wire.send('POST', `/sandboxes/${long}/timeout`, { json: { timeout: 60 } }),
      await wire.send('POST', `/sandboxes/${long}/refreshes`, { json: { duration: 600 } }),
      await wire.send('POST', `/sandboxes/${long}/connect`, { json: { timeout: 1 } }),
      await wire.send('POST', `/v2/sandboxes/${long}/connect`),
      await wire.send('POST', `/sandboxes/${long}/pause`),
      await wire.send('POST', `/sandboxes/${long}/resume`, { json: { timeout: 60 } }),
      await wire.send('DELETE', `/sandboxes/${long}`),
    ].map(({ status }) => status);
    expect(statuses).toEqual([204, 204, 200, 200, 204, 201, 204]);
    expect((await wire.send('GET', `/sandboxes/${sandboxID}-a-b`)).status).toBe(404);
  });

  test('is refreshed, never shortened, for 15 seconds at least and an hour at most', async () => {
    const { sandboxID } = await wire.create({ timeout: 600 });
    const refresh = (json: unknown) => wire.send('POST', `/sandboxes/${sandboxID}/refreshes`, { json });
    expect((await refresh({ duration: 0 })).status).toBe(204);
    expect(await secondsLeft(sandboxID)).toBeLessThan(605);
    expect((await refresh({ duration: 3600 })).status).toBe(204);
    expect(await secondsLeft(sandboxID)).toBeGreaterThan(3590);
    expect(failureOf(await refresh({ duration: 3601 }))).toEqual(failure(400, /^duration: /));
  });

  test('that is paused has no time to set or refresh, resumes once, and connects with 201', async () => {
    const { sandboxID } = await wire.create();
    const post = (verb: string, json: unknown = {}) => wire.send('POST', `/sandboxes/${sandboxID}/${verb}`, { json });
    expect((await post('pause', { memory: true })).status).toBe(204);
    expect(failureOf(await post('pause'))).toEqual(failure(409, /already paused/));
    const gone = failure(404, `Sandbox "${sandboxID}" doesn't exist or you don't have access to it`);
    expect(failureOf(await post('timeout', { timeout: 60 }))).toEqual(gone);
    expect(failureOf(await post('refreshes'))).toEqual(gone);
    expect(failureOf(await post('connect', { timeout: 0 }))).toEqual(failure(400, /1 second at least/));
    expect((await post('connect', { timeout: 60 })).status).toBe(201);
    expect((await post('connect', { timeout: 60 })).status).toBe(200);
    expect(failureOf(await post('resume', { timeout: 60 }))).toEqual(failure(409, /running already/));
    expect(failureOf(await post('connect'))).toEqual(failure(400, /^timeout: /));
  });

  test('is resumed without its memory where that is asked for: files stay, processes do not go on', async () => {
    const { sandboxID } = await wire.create();
    const pause = (json: unknown) => wire.send('POST', `/sandboxes/${sandboxID}/pause`, { json });
    const cold = () => wire.send('POST', `/v2/sandboxes/${sandboxID}/connect`, { json: { memory: false } });
    const run = (verb: 'exec' | 'processes', command: string, status: number) =>
      wire.tenant.json<{ stdout: string }>(`/v1/sandboxes/${sandboxID}/${verb}`, {
        method: 'POST',
        json: { command },
        status,
      });
    const exec = async (command: string) => (await run('exec', command, 200)).stdout;
    expect((await cold()).status).toBe(200);
    await run('processes', 'exec sleep 1234', 201);
    await exec('touch kept; until pgrep -f "^sleep 1234$"; do sleep 0.05; done');
    expect((await pause({ memory: true })).status).toBe(204);
    expect((await cold()).status).toBe(201);
    expect(await exec('ls kept; pgrep -cf "^sleep 1234$"')).toBe('kept\n0\n');
    await pause({ memory: false });
    expect((await cold()).status).toBe(201);
  });

  test('is gone at once when its time is set to 0', async () => {
    const { sandboxID } = await wire.create();
    const path = `/sandboxes/${sandboxID}`;
    expect((await wire.send('POST', `${path}/timeout`, { json: { timeout: 0 } })).status).toBe(204);
    expect((await wire.send('GET', path)).status).toBe(404);
    expect((await wire.send('DELETE', path)).status).toBe(404);
  });
});

describe('a list', () => {
  test('tells how many run, and how to go on until there is no more', async () => {
    const own = await createWire();
    try {
      for (const kind of ['a', 'b', 'a']) await own.create({ metadata: { kind } });
      const first = await own.send('GET', '/v2/sandboxes?limit=1&metadata=kind%3Da');
      expect(first.headers.get('x-total-running')).toBe('2');
      const token = first.headers.get('x-next-token') ?? '';
      const last = await own.send('GET', `/v2/sandboxes?limit=1&metadata=kind%3Da&nextToken=${token}`);
      expect(last.headers.get('x-next-token')).toBeNull();
      expect([first.body, last.body]).toMatchObject([[{ metadata: { kind: 'a' } }], [{ metadata: { kind: 'a' } }]]);
      const paused = await own.send('GET', '/v2/sandboxes?state=paused');
      expect([paused.text, paused.headers.get('x-total-running')]).toEqual(['[]', null]);
      const unknown = await own.send('GET', '/v2/sandboxes?template=nothing');
      expect([unknown.text, unknown.headers.get('x-total-running')]).toEqual(['[]', '0']);
      for (const template of ['base', 'base:default'])
        expect((await own.send('GET', `/v2/sandboxes?template=${template}`)).headers.get('x-total-running')).toBe('3');
      const legacy = await own.send('GET', '/sandboxes?metadata=kind%3Db');
      expect(legacy.body).toEqual([
        {
          templateID: 'base',
          alias: 'base',
          sandboxID: expect.any(String) as string,
          clientID: expect.any(String) as string,
          envdVersion: '0.6.13',
          startedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
          endAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
          cpuCount: 2,
          memoryMB: 512,
          diskSizeMB: 0,
          metadata: { kind: 'b' },
          state: 'running',
          volumeMounts: [],
        },
      ]);
    } finally {
      await own.tenant.cleanUp();
    }
  });

  test.each([
    ['state=creating', /Invalid state/],
    ['state=', /Invalid state/],
    ['order=up', /Invalid order/],
    ['limit=0', /Invalid limit/],
    ['limit=101', /Invalid limit/],
    ['startedAfter=yesterday', /Invalid startedAfter/],
    ['nextToken=nonsense', /^Invalid next token$/],
    ['template=base:v1', /not narrowed to a tag/],
    ['metadata=a%3D%25', /percent-encoding/],
    [`metadata=${Array.from({ length: 17 }, (_, at) => `${at}%3D${at}`).join('%26')}`, /at most 16 pairs/],
  ])('with %s is refused', async (query, message) => {
    expect(failureOf(await wire.send('GET', `/v2/sandboxes?${query}`))).toEqual(failure(400, message));
  });

  test.each(['/v2/sandboxes', '/snapshots', '/v2/templates'])(
    '%s says of a token that it did not give so',
    async (path) => {
      expect(failureOf(await wire.send('GET', `${path}?nextToken=nonsense`))).toEqual(
        failure(400, /^Invalid next token$/),
      );
    },
  );
});
