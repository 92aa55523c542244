import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { askForSocket, handshake } from '../../runner/ports/sockets.ts';
import { waitFor } from '../wait-for.ts';

const opened: { destroy(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.destroy();
});

/** Grants a WebSocket by hand; what it does then is the test's. */
async function startServer(then: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    opened.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', (request: Buffer) => {
      const key = /sec-websocket-key: (\S+)/i.exec(request.toString())?.[1] ?? '';
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
      );
      then(socket);
    });
  }).listen(0, '127.0.0.1');
  opened.push({ destroy: () => server.close() });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const ask = async (port: number) => {
  const connection = connect(port, '127.0.0.1');
  opened.push(connection);
  await once(connection, 'connect');
  const request = { port, method: 'GET', target: '/', headers: [['host', 'sandbox']] as [string, string][] };
  const inner = askForSocket(connection, request, []);
  expect(await handshake(inner, new AbortController().signal)).toEqual({ kind: 'open' });
  inner.resume();
  return inner;
};

test('a ping is answered', async () => {
  let answer = Buffer.alloc(0);
  const port = await startServer((socket) => {
    socket.on('data', (bytes: Buffer) => (answer = Buffer.concat([answer, bytes])));
    socket.write(Buffer.from([0x89, 0x02, 0x68, 0x69]));
  });
  await ask(port);
  await waitFor('an answer', () => answer.length >= 8, 5_000);
  // A pong, masked, of two bytes.
  expect([...answer.subarray(0, 2)]).toEqual([0x8a, 0x82]);
});

test('a server that pings without end and reads no answer fills no memory with them', async () => {
  const ping = Buffer.concat([Buffer.from([0x89, 125]), Buffer.alloc(125, 'x')]);
  const flood = Buffer.concat(Array.from({ length: 500 }, () => ping));
  let sentBytes = 0;
  const port = await startServer((socket) => {
    socket.pause();
    const more = (): void => {
      while (!socket.destroyed && socket.write(flood)) sentBytes += flood.length;
      sentBytes += flood.length;
    };
    socket.on('drain', more);
    more();
  });
  const inner = await ask(port);
  let heldBytes = 0;
  inner.on('ping', () => (heldBytes = Math.max(heldBytes, inner.bufferedAmount)));
  await waitFor('64 MiB of pings', () => sentBytes > 64 * 1024 * 1024, 30_000);
  expect(heldBytes).toBeLessThan(1024 * 1024);
});
