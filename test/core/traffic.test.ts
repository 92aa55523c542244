import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newSandboxId } from '../../worker/core/ids.ts';
import { Signer } from '../../worker/core/keys/signer.ts';
import { sandboxToken } from '../../worker/core/access/sandbox-tokens.ts';
import { answerHeaders } from '../../worker/core/traffic/answer-headers.ts';
import { OwnCredentials } from '../../worker/core/traffic/credentials.ts';
import { judgePreview, signPreview } from '../../worker/core/traffic/previews.ts';
import { hostFor, requestHeaders, type AskedFor } from '../../worker/core/traffic/request-headers.ts';
import { readSandboxHost, sandboxHost } from '../../worker/core/traffic/sandbox-host.ts';
import { trafficOf, type TrafficFacts } from '../../worker/dialects/e2b/traffic-table.ts';

const domain = 'sandbox.example.com:8443';
const api = 'api.example.com';
const signer = new Signer('p'.repeat(32));
const adminKey = 'administrator-'.repeat(4);
const own = new OwnCredentials(signer, adminKey);

const factsOf = (hostname: string, more: Partial<TrafficFacts> = {}): TrafficFacts => ({
  host: readSandboxHost(domain, api, hostname),
  sandboxId: undefined,
  sandboxPort: undefined,
  accessToken: undefined,
  keyed: false,
  method: 'GET',
  path: '/',
  signature: null,
  local: false,
  ...more,
});

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const anyFacts = fc.record({
  sandboxId: optional(fc.string()),
  sandboxPort: optional(fc.oneof(fc.string(), fc.integer().map(String))),
  accessToken: optional(fc.string()),
  keyed: fc.boolean(),
  method: fc.constantFrom('GET', 'POST', 'DELETE'),
  path: fc.constantFrom('/', '/files', '/sandboxes'),
  signature: fc.option(fc.string()),
  local: fc.boolean(),
});
const anyHostname = fc.oneof(
  fc.domain(),
  fc.string(),
  fc.constantFrom(api, 'localhost', '127.0.0.1', '[::1]', 'sandbox.example.com', `sandbox.sandbox.example.com`),
  fc.tuple(fc.string(), fc.constant('.sandbox.example.com')).map((parts) => parts.join('')),
);

test('whom a request is for is decided for every request there can be', () => {
  fc.assert(
    fc.property(anyHostname, anyFacts, (hostname, more) => {
      const traffic = trafficOf(factsOf(hostname, more));
      if (traffic.to !== 'port') return;
      expect(traffic.sandboxId).toMatch(/^[a-z0-9]+$/);
      expect(traffic.port).toBeGreaterThanOrEqual(1);
      expect(traffic.port).toBeLessThanOrEqual(65_535);
    }),
  );
});

test("a sandbox's host name reaches that port of that sandbox, whatever headers and tokens come along", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_535 }), fc.boolean(), anyFacts, (port, legacy, more) => {
      const id = newSandboxId('00');
      const hostname = sandboxHost('sandbox.example.com', port, id, legacy ? 'glovebox' : undefined);
      expect(trafficOf(factsOf(hostname, more))).toMatchObject({ to: 'port', by: 'host', sandboxId: id, port });
    }),
  );
});

test('no name under the sandbox domain falls through to the control plane', () => {
  fc.assert(
    fc.property(fc.string(), anyFacts, (label, more) => {
      const traffic = trafficOf(factsOf(`${label}.sandbox.example.com`, more));
      expect(traffic.to).not.toBe('control plane');
      expect(trafficOf(factsOf('sandbox.example.com', more)).to).toBe('nowhere');
    }),
  );
});

test.each([
  ['0-abc', 'Invalid sandbox port'],
  ['65536-abc', 'Invalid sandbox port'],
  ['abc', 'Invalid host'],
  ['8000-', 'Invalid host'],
  ['8000-abc-def-ghi', 'Invalid host'],
  ['8000-abc.more', 'Invalid host'],
])('%s under the domain is told as %s', (label, message) => {
  expect(trafficOf(factsOf(`${label}.sandbox.example.com`))).toEqual({ to: 'nowhere', message });
});

test('a control plane under the sandbox domain is reached by its own name only', () => {
  const under = (hostname: string) => readSandboxHost('example.com', api, hostname).kind;
  expect([under(api), under('8000-abc.example.com'), under('other.example.com')]).toEqual([
    'foreign',
    'port',
    'malformed',
  ]);
  expect(readSandboxHost(undefined, api, '8000-abc.example.com')).toEqual({ kind: 'foreign' });
});

test('headers choose on the API and the shared host, with envd as their port unless they say another', () => {
  for (const hostname of [api, 'localhost', '127.0.0.1', 'sandbox.sandbox.example.com']) {
    const by = (sandboxId?: string, sandboxPort?: string) => trafficOf(factsOf(hostname, { sandboxId, sandboxPort }));
    expect(by('abc-client')).toMatchObject({ to: 'port', by: 'headers', sandboxId: 'abc', port: 49_983 });
    expect(by('abc', '8000')).toMatchObject({ to: 'port', sandboxId: 'abc', port: 8000 });
    expect(by('a b', '8000')).toEqual({ to: 'nowhere', message: 'Invalid sandbox ID' });
    expect(by('abc', '-1')).toEqual({ to: 'nowhere', message: 'Invalid sandbox port' });
    expect(by(undefined, '8000')).toEqual({ to: 'nowhere', message: 'missing header' });
  }
});

test('a token that comes alone is its owner’s, a signature alone only where it can be looked for', () => {
  expect(trafficOf(factsOf(api, { accessToken: 't' }))).toEqual({ to: 'owner of the token', token: 't' });
  expect(trafficOf(factsOf(api, { accessToken: 't', keyed: true })).to).toBe('control plane');
  const signed = { path: '/files', signature: 'v1_x' };
  expect(trafficOf(factsOf(api, signed)).to).toBe('control plane');
  expect(trafficOf(factsOf(api, { ...signed, local: true })).to).toBe('signer');
  expect(trafficOf(factsOf(api, { ...signed, local: true, method: 'DELETE' })).to).toBe('control plane');
});

test('a preview’s signature holds for its port, its sandbox and its time, and has one spelling', async () => {
  const place = { sandboxId: newSandboxId('00'), port: 3000 };
  const suffix = await signPreview(signer, place, 2000);
  expect(suffix).toMatch(/^[a-z2-7]{23}$/);
  expect(`65535-${place.sandboxId}-${suffix}`.length).toBeLessThanOrEqual(63);
  const judge = (of = place, text: string | undefined = suffix, nowMs = 1_999_999) =>
    judgePreview(signer, of, text, nowMs);
  expect(await judge()).toBe('valid');
  expect(await judge(place, suffix, 2_000_000)).toBe('expired');
  expect(await judge({ ...place, port: 3001 })).toBe('forged');
  expect(await judge({ ...place, sandboxId: newSandboxId('00') })).toBe('forged');
  expect(await judgePreview(new Signer('other'), place, suffix, 0)).toBe('forged');
  expect(await judge(place, 'glovebox')).toBe('none');
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 22 }), fc.constantFrom('a', 'm', 'z', '2', '7'), async (at, to) => {
      const changed = suffix.slice(0, at) + to + suffix.slice(at + 1);
      expect(await judge(place, changed)).toBe(changed === suffix ? 'valid' : 'forged');
    }),
  );
});

const asked: AskedFor = {
  authority: '3000-abc.sandbox.example.com:8443',
  signedAuthority: '3000-abc-sig.sandbox.example.com:8443',
  scheme: 'https',
  clientAddress: '203.0.113.9',
  underPath: false,
};
const passed = async (headers: Record<string, string>, over: Partial<AskedFor> = {}) => {
  const all = { ...asked, ...over };
  return Object.fromEntries(
    await requestHeaders(Object.entries(headers), hostFor(null, 3000, all), all, (value) => own.heldBy(value)),
  );
};

test('no credential of ours goes on to a sandbox, under whatever name, and those of others do', async () => {
  const key = `e2b_${'0a'.repeat(20)}`;
  const id = newSandboxId('00');
  const envd = await sandboxToken(signer, 'envd', id);
  const traffic = await sandboxToken(signer, 'traffic', id);
  const stay = {
    'X-API-KEY': key,
    Authorization: `Bearer gb_${'0a'.repeat(20)}`,
    'X-Basic': `Basic ${btoa(`user:${key}`)}`,
    'X-Access-Token': envd,
    Cookie: `session=1; token=${traffic}`,
    'X-Any': `prefix ${adminKey} suffix`,
    'E2b-Sandbox-Id': id,
    'E2B-Traffic-Access-Token': traffic,
    'Proxy-Authorization': 'Basic eA==',
    Connection: 'close, X-Hop',
    'X-Hop': '1',
    'Transfer-Encoding': 'chunked',
    'Sec-WebSocket-Key': 'x',
    'CF-Ray': 'x',
  };
  const go = {
    authorization: 'Bearer of-the-server-inside',
    'x-api-key': 'its-own-key',
    'x-access-token': 'f'.repeat(64),
    cookie: 'session=2',
    accept: '*/*',
    'x-digest': '0'.repeat(64),
  };
  expect(await passed({ ...stay })).toEqual({
    host: asked.authority,
    'x-forwarded-host': asked.authority,
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '203.0.113.9',
  });
  expect(await passed(go)).toMatchObject(go);
});

test('what a preview is signed with is not told to the server inside', async () => {
  const origin = `https://${asked.signedAuthority}`;
  const headers = await passed({ Origin: origin, Referer: `${origin}/page` });
  expect(headers).toMatchObject({ origin: `https://${asked.authority}`, referer: `https://${asked.authority}/page` });
  expect(JSON.stringify(headers)).not.toContain('-sig');
  expect(
    await passed({ Cookie: 'a=1', Referer: 'https://api/v1/previews/x/' }, { underPath: true }),
  ).not.toHaveProperty('referer');
});

test('a masked host has the port filled in, wherever it stands', () => {
  expect(hostFor('localhost:${PORT}', 3000, asked)).toBe('localhost:3000');
  expect(hostFor('${PORT}.inside.${PORT}', 3000, asked)).toBe('3000.inside.3000');
});

test('cookies are one host’s, and on our own origin nothing is set or run for it', () => {
  const headers: [string, string][] = [
    ['set-cookie', 'a=1; Path=/; Domain=.example.com; Secure'],
    ['content-security-policy', 'default-src *'],
    ['content-length', '5'],
    ['clear-site-data', '"*"'],
    ['x-own', '1'],
  ];
  expect(answerHeaders(headers, 'host', false)).toEqual([
    ['set-cookie', 'a=1; Path=/; Secure'],
    ['content-security-policy', 'default-src *'],
    ['clear-site-data', '"*"'],
    ['x-own', '1'],
  ]);
  const onPath = answerHeaders(headers, 'path', true);
  expect(onPath.map(([name]) => name).toSorted()).toEqual([
    'content-length',
    'content-security-policy',
    'referrer-policy',
    'x-content-type-options',
    'x-own',
  ]);
  expect(Object.fromEntries(onPath)['content-security-policy']).toBe("default-src 'none'; sandbox");
});
