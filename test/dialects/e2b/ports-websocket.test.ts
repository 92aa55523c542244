import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { installation } from '../../installation.ts';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';
import { PortServer } from './ports-server.ts';

let e2b: E2b;
let server: PortServer;
beforeAll(async () => {
  e2b = await createE2b();
  const { id } = await e2b.tenant.createSandbox({ timeoutSeconds: 900, network: 'off' });
  server = await PortServer.start(e2b.tenant, id);
});
afterAll(() => e2b.cleanUp());

/** Messages and the close, in the order in which they came. */
class Client {
  readonly socket: WebSocket;
  readonly messages: { data: Buffer; binary: boolean }[] = [];
  closed: [number, string] | undefined;

  constructor(path: string, headers: Record<string, string>, protocols: string[] = []) {
    const base = installation().url.replace(/^http/, 'ws');
    this.socket = new WebSocket(`${base}${path}`, protocols, { headers, maxPayload: 1 << 26 });
    this.socket.on('message', (data, binary) => this.messages.push({ data: data as Buffer, binary }));
    this.socket.on('error', () => undefined);
    this.socket.on('close', (code, reason) => (this.closed = [code, String(reason)]));
  }

  static async open(of = server, path = '/chat', protocols: string[] = []): Promise<Client> {
    const client = new Client(path, of.headers(), protocols);
    await once(client.socket, 'open');
    return client;
  }

  next(): Promise<{ data: Buffer; binary: boolean }> {
    return waitFor('a message', () => this.messages.shift(), 10_000, 5);
  }

  end(): Promise<[number, string]> {
    return waitFor('the close', () => this.closed, 10_000);
  }
}

const text = (message: { data: Buffer; binary: boolean }) => [String(message.data), message.binary];

test('text and bytes come back as what they were, in order, after an upgrade by headers and by host name', async () => {
  const client = await Client.open();
  client.socket.send('text é');
  client.socket.send(Buffer.from([0, 255, 1]));
  client.socket.send('');
  expect(text(await client.next())).toEqual(['text é', false]);
  expect(await client.next()).toEqual({ data: Buffer.from([0, 255, 1]), binary: true });
  expect(text(await client.next())).toEqual(['', false]);
  client.socket.close();
  const byHost = new Client('/chat?a=1', {
    host: server.hostOf(),
    origin: 'https://app.example.com',
    'x-api-key': e2b.options.apiKey,
  });
  await once(byHost.socket, 'open');
  byHost.socket.send('headers');
  const seen = JSON.parse(String((await byHost.next()).data)) as { url: string; headers: Record<string, string> };
  expect(seen).toMatchObject({
    url: '/chat?a=1',
    headers: { host: server.hostOf(), origin: 'https://app.example.com' },
  });
  expect(seen.headers).not.toHaveProperty('x-api-key');
  byHost.socket.close();
});

test('the protocol is the one that the server chooses', async () => {
  const client = await Client.open(server, '/chat', ['other', 'chat']);
  expect(client.socket.protocol).toBe('chat');
  client.socket.close();
});

test('a close goes either way with its code and reason', async () => {
  const theirs = await Client.open();
  theirs.socket.send('close 4001');
  expect(await theirs.end()).toEqual([4001, 'as asked']);
  const ours = await Client.open();
  ours.socket.close(4002, 'enough');
  await waitFor('the close inside', async () => (await server.gone()).includes('ws 4002 enough'), 10_000);
  expect(await ours.end()).toEqual([4002, 'enough']);
});

test('one that breaks on either side breaks on the other', async () => {
  const theirs = await Client.open();
  theirs.socket.send('die');
  expect((await theirs.end())[0]).toBe(1006);
  const ours = await Client.open();
  const before = (await server.gone()).filter((entry) => entry.startsWith('ws 1006')).length;
  ours.socket.terminate();
  await waitFor(
    'the break inside',
    async () => (await server.gone()).filter((entry) => entry.startsWith('ws 1006')).length > before,
    10_000,
  );
  expect((await ours.end())[0]).toBe(1006);
});

test('a message has at most 1 MiB, either way; one byte more closes with 1009', async () => {
  const client = await Client.open();
  client.socket.send(Buffer.alloc(1024 * 1024, 7));
  expect((await client.next()).data.length).toBe(1024 * 1024);
  client.socket.send(Buffer.alloc(1024 * 1024 + 1));
  expect([1009, 1006]).toContain((await client.end())[0]);
  const other = await Client.open();
  other.socket.send(`big ${1024 * 1024 + 1}`);
  expect((await other.end())[0]).toBe(1009);
});

test('a client that does not read holds the server back, and loses nothing', async () => {
  const client = await Client.open();
  client.socket.pause();
  client.socket.send('flood 2000');
  const other = await Client.open();
  other.socket.send('still served');
  expect(text(await other.next())).toEqual(['still served', false]);
  client.socket.resume();
  await waitFor('all of it', () => client.messages.length === 2001, 30_000);
  expect(client.messages.slice(0, 2000).every(({ data }, at) => data.length === 60_000 && data[0] === at % 256)).toBe(
    true,
  );
  expect(String(client.messages[2000]?.data)).toBe('flooded');
  for (const { socket } of [client, other]) socket.close();
});

test.each([
  ['/refuse', 8000, 403],
  ['/chat', 9, 502],
  ['/', 8103, 502],
])('%s on port %i, which is no WebSocket, answers %i', async (path, port, status) => {
  const client = new Client(path, server.headers(port));
  const [, response] = (await once(client.socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  expect(response.statusCode).toBe(status);
});

test('64 at once and no more', async () => {
  const clients = await Promise.all(Array.from({ length: 64 }, () => Client.open()));
  const refused = new Client('/chat', server.headers());
  const [, response] = (await once(refused.socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  expect(response.statusCode).toBe(429);
  for (const { socket } of clients) socket.close();
  await Promise.all(clients.map((client) => client.end()));
});

test('those of a sandbox that is killed are cut', async () => {
  const { id } = await e2b.tenant.createSandbox({ timeoutSeconds: 600, network: 'off' });
  const doomed = await PortServer.start(e2b.tenant, id);
  const [cut, kept] = await Promise.all([Client.open(doomed), Client.open()]);
  await e2b.tenant.json(`/v1/sandboxes/${id}`, { method: 'DELETE' });
  expect((await cut.end())[0]).toBe(1006);
  kept.socket.send('alive');
  expect(text(await kept.next())).toEqual(['alive', false]);
  kept.socket.close();
});
