import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { type AgentContainer, docker, specOf, startAgentContainer } from './agent-container.ts';

/** Echoes each connection; what a connection's first byte asks for is done instead. */
const server = `
import socket, threading, struct
def serve(c):
    first = c.recv(1)
    if first == b'R':
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close(); return
    if first == b'F':
        c.sendall(b'bye'); c.shutdown(socket.SHUT_WR)
        got = 0
        while (b := c.recv(65536)): got += len(b)
        open('/tmp/got', 'w').write(str(got)); c.close(); return
    c.sendall(first)
    while (b := c.recv(65536)): c.sendall(b)
    c.close()
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', 9000)); s.listen(512)
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`;

let agent: AgentContainer;
beforeAll(async () => {
  agent = await startAgentContainer();
  const command = { kind: 'argv' as const, argv: ['python3', '-c', server] };
  await agent.session.start(specOf('', { command }), null);
  await waitFor(
    'the server',
    () =>
      connect(9000).then(
        (stream) => stream.destroy(),
        () => undefined,
      ),
    10_000,
  );
});
afterAll(() => agent.dispose());

/** No interface but loopback is needed: the container has no network. */
const connect = (port: number): Promise<Duplex> => agent.session.connect(port, 30_000);

const readAll = async (stream: Duplex): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
};

test('bytes go both ways, and each side ends by itself', async () => {
  const stream = await connect(9000);
  stream.end('hello');
  expect(String(await readAll(stream))).toBe('hello');
  const half = await connect(9000);
  half.write('F');
  half.resume();
  await new Promise((resolve) => half.once('end', resolve));
  half.end(randomBytes(300_000));
  await waitFor(
    'what came after the FIN',
    async () => {
      const got = await docker('exec', agent.containerId, 'sh', '-c', 'cat /tmp/got 2>/dev/null || true');
      return got === '300000';
    },
    10_000,
  );
});

test('60 MB there and back at once, and a reader that waits holds the sender back', async () => {
  const stream = await connect(9000);
  const bytes = randomBytes(60_000_000);
  let written = 0;
  const writing = (async () => {
    for (let at = 0; at < bytes.length; at += 100_000) {
      if (!stream.write(bytes.subarray(at, at + 100_000)))
        await new Promise((resolve) => stream.once('drain', resolve));
      written = at;
    }
    stream.end();
  })();
  // Nobody reads: once the kernel's buffers are full (they grow to several MB) nothing is written any more.
  let before = -1;
  await waitFor('the writer to be held back', () => written === before || void (before = written), 20_000, 500);
  expect(written).toBeLessThan(45_000_000);
  const back = await readAll(stream);
  await writing;
  expect(createHash('sha256').update(back).digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
});

test('a port where nothing listens is told, and a reset is a failure and no end', async () => {
  await expect(connect(9)).rejects.toMatchObject({ code: 'port_not_open' });
  const stream = await connect(9000);
  stream.write('R');
  await expect(readAll(stream)).rejects.toMatchObject({ code: 'port_failed' });
});

test('hundreds of connections come and go without one too few', async () => {
  for (let round = 0; round < 3; round++) {
    const streams = await Promise.all(Array.from({ length: 200 }, () => connect(9000)));
    const echoes = streams.map(async (stream, at) => {
      stream.end(`connection ${at}`);
      return String(await readAll(stream));
    });
    expect(await Promise.all(echoes)).toEqual(streams.map((_, at) => `connection ${at}`));
  }
});

test('one on which nothing moves is cut', async () => {
  const stream = await agent.session.connect(9000, 300);
  await expect(readAll(stream)).rejects.toMatchObject({ code: 'port_failed' });
});
