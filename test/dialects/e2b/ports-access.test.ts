import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';
import { ask, PortServer } from './ports-server.ts';

let e2b: E2b;
let open: PortServer;
beforeAll(async () => {
  e2b = await createE2b();
  open = await PortServer.start(e2b.tenant, (await e2b.create({ timeoutMs: 600_000 })).sandboxId);
});
afterAll(() => e2b.cleanUp());

const portOfUrl = () => new URL(installation().url).port;
const wake = (id: string) => e2b.tenant.json(`/v1/sandboxes/${id}`).then(({ state }) => state);

test('the host that the SDK tells reaches the port, and a sandbox that was killed is 502 there', async () => {
  const sandbox = await e2b.create();
  await sandbox.commands.run('python3 -m http.server 8000', { background: true });
  const host = sandbox.getHost(8000);
  expect(host).toBe(`8000-${sandbox.sandboxId}.sandbox.localhost:${portOfUrl()}`);
  const page = await waitFor(
    'the server',
    () => ask('/', { host }).then((answer) => answer.status === 200 && answer),
    20_000,
  );
  expect(page.text).toContain('Directory listing');
  await sandbox.kill();
  const gone = { sandboxId: sandbox.sandboxId, message: 'The sandbox was not found', code: 502 };
  expect((await ask('/', { host })).json()).toEqual(gone);
});

describe('a sandbox without public traffic', () => {
  test('asks for its token at every port but envd’s, with the proxy’s words', async () => {
    const sandbox = await e2b.create({ network: { allowPublicTraffic: false } });
    const { trafficAccessToken: token = '' } = sandbox;
    const host = sandbox.getHost(8000);
    const answer = async (headers: Record<string, string> = {}, of = host) => {
      const { status, text } = await ask('/', { host: of, headers });
      return [status, (JSON.parse(text) as { message?: string }).message];
    };
    const { sandboxId } = sandbox;
    const secured = 'Sandbox is secured with traffic access token. ';
    expect(await answer()).toEqual([403, `${secured}Token header 'e2b-traffic-access-token' is missing`]);
    const invalid = [403, `${secured}Provided token in header 'e2b-traffic-access-token' is invalid`];
    expect(await answer({ 'e2b-traffic-access-token': `${sandboxId}${'0'.repeat(32)}` })).toEqual(invalid);
    const other = await e2b.create({ network: { allowPublicTraffic: false } });
    expect(await answer({ 'e2b-traffic-access-token': other.trafficAccessToken ?? '' })).toEqual(invalid);
    const closed = [502, 'The sandbox is running but port is not open'];
    expect(await answer({ 'e2b-traffic-access-token': token })).toEqual(closed);
    const byHeaders = { 'e2b-sandbox-id': sandboxId, 'e2b-sandbox-port': '8000' };
    const api = new URL(installation().url).host;
    expect((await answer(byHeaders, api))[0]).toBe(403);
    expect(await answer({ ...byHeaders, 'e2b-traffic-access-token': token }, api)).toEqual(closed);
    expect((await sandbox.commands.run('echo envd')).stdout).toBe('envd\n');
    expect((await ask('/health', { host: sandbox.getHost(49_983) })).status).toBe(204);
  });
});

test('a masked host is what the server inside sees, by host name and by headers', async () => {
  const { sandboxId } = await e2b.create({ network: { maskRequestHost: 'inside.example.com:${PORT}' } });
  const masked = await PortServer.start(e2b.tenant, sandboxId);
  for (const answer of [await masked.ask('/echo'), await ask('/echo', { host: masked.hostOf() })]) {
    const { headers } = answer.json() as { headers: Record<string, string> };
    expect(headers.host).toBe('inside.example.com:8000');
    expect(headers['x-forwarded-host']).not.toBe(headers.host);
  }
});

describe('old clients', () => {
  test('that send nothing but the access token reach its envd; one that is nobody’s is 502', async () => {
    const sandbox = await e2b.create();
    await sandbox.files.write('/tmp/old', 'content');
    const token = Reflect.get(sandbox, 'envdAccessToken') as string;
    const read = (value: string) => ask('/files?path=/tmp/old', { headers: { 'x-access-token': value } });
    expect((await read(token)).text).toBe('content');
    expect((await read(token.replace(/.$/, (end) => (end === '0' ? '1' : '0')))).status).toBe(502);
  });

  test('that open a signed URL without any header reach the sandbox that signed it', async () => {
    const sandbox = await e2b.create();
    await sandbox.files.write('/tmp/signed', 'content');
    const path = new URL(await sandbox.downloadUrl('/tmp/signed', { useSignatureExpiration: 60 }));
    expect((await ask(`${path.pathname}${path.search}`)).text).toBe('content');
    path.searchParams.set('path', '/etc/passwd');
    expect((await ask(`${path.pathname}${path.search}`)).status).toBe(502);
  });
});

describe('a paused sandbox', () => {
  const paused = async (autoResume: boolean): Promise<PortServer> => {
    const lifecycle = { onTimeout: 'pause' as const, autoResume };
    const sandbox = await e2b.create({ timeoutMs: 300_000, lifecycle });
    const server = await PortServer.start(e2b.tenant, sandbox.sandboxId);
    await sandbox.pause();
    return server;
  };

  test('that wants to is woken by traffic, once for many at once, and answers all of it', async () => {
    const server = await paused(true);
    const { id } = server;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        at % 2 === 0 ? server.ask('/echo') : ask('/echo', { host: server.hostOf() }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const { entries } = await e2b.tenant.json<{ entries: { kind: string }[] }>(`/v1/sandboxes/${id}/logs`);
    expect(JSON.stringify(entries).match(/"resumed"/g)).toHaveLength(1);
    expect(await wake(id)).toBe('running');
  });

  test('that wants to is woken by its envd, too', async () => {
    const sandbox = await e2b.create({ timeoutMs: 300_000, lifecycle: { onTimeout: 'pause', autoResume: true } });
    await sandbox.pause();
    expect((await sandbox.commands.run('echo awake')).stdout).toBe('awake\n');
  });

  test('that does not is 502, and stays paused', async () => {
    const server = await paused(false);
    const gone = { sandboxId: server.id, message: 'The sandbox was not found', code: 502 };
    expect((await server.ask('/echo')).json()).toEqual(gone);
    expect(await wake(server.id)).toBe('paused');
  });
});

describe('a preview', () => {
  interface Preview {
    port: number;
    url: string;
    pathUrl: string;
    expiresAt: string;
  }
  const create = (id: string, json: unknown, status = 201) =>
    e2b.tenant.json<Preview>(`/v1/sandboxes/${id}/previews`, { method: 'POST', json, status });
  const visit = (preview: Preview, path: string, headers: Record<string, string> = {}) =>
    ask(path, { host: new URL(preview.url).host, headers });
  const visitPath = (preview: Preview, path: string, headers: Record<string, string> = {}) =>
    ask(`${new URL(preview.pathUrl).pathname}${path}`, { headers });

  test('opens one port of a sandbox that is not public, by host name and by path, until its time', async () => {
    const { id } = await e2b.tenant.createSandbox({ timeoutSeconds: 600, publicPorts: false });
    const server = await PortServer.start(e2b.tenant, id);
    const preview = await create(id, { port: 8000, expiresInSeconds: 60 });
    expect((await ask('/echo', { host: server.hostOf() })).status).toBe(403);
    const byHost = (await visit(preview, '/echo?a=1')).json() as { url: string; headers: Record<string, string> };
    expect(byHost).toMatchObject({ url: '/echo?a=1', headers: { host: server.hostOf() } });
    const byPath = await visitPath(preview, 'echo?a=1', { cookie: 'api=1' });
    expect(byPath.json()).toMatchObject({ url: '/echo?a=1' });
    expect((byPath.json() as { headers: object }).headers).not.toHaveProperty('cookie');
    expect(byPath.headers).not.toHaveProperty('set-cookie');
    expect(byPath.headers['content-security-policy']).toBe("default-src 'none'; sandbox");
    const suffix = new URL(preview.url).hostname.split('.')[0]?.split('-')[2] ?? '';
    expect((await ask('/', { host: server.hostOf(8001, `-${suffix}`) })).json()).toMatchObject({ code: 403 });
    expect((await ask(`/v1/previews/8001-${id}-${suffix}/`)).status).toBe(404);
    const short = await create(id, { port: 8000, expiresInSeconds: 1 });
    await waitFor('it to expire', async () => (await visit(short, '/echo')).status === 403, 5_000, 200);
    expect((await visitPath(short, 'echo')).status).toBe(404);
    await e2b.tenant.json(`/v1/sandboxes/${id}`, { method: 'DELETE' });
    expect((await visit(preview, '/echo')).status).toBe(502);
  });

  test('is not made for what is not a port, envd, another tenant’s sandbox or one that ended', async () => {
    for (const port of [0, 65_536, 49_983, 1.5, '8000']) await create(open.id, { port }, 400);
    const stranger = await createE2b();
    const { id } = await stranger.tenant.createSandbox({ timeoutSeconds: 60 });
    await create(id, { port: 8000 }, 404);
    await stranger.cleanUp();
    const { id: ended } = await e2b.tenant.createSandbox({ timeoutSeconds: 60 });
    await e2b.tenant.json(`/v1/sandboxes/${ended}`, { method: 'DELETE' });
    await create(ended, { port: 8000 }, 410);
    const week = Date.parse((await create(open.id, { port: 1, expiresInSeconds: 10_000_000 })).expiresAt) - Date.now();
    expect(week).toBeLessThanOrEqual(7 * 24 * 3600 * 1000);
  });
});
