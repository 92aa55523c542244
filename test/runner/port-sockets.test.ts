import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { askForSocket, handshake, joinSockets } from '../../runner/ports/sockets.ts';
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
      socket.write(grant(request));
      then(socket);
    });
  }).listen(0, '127.0.0.1');
  opened.push({ destroy: () => server.close() });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const askOver = async (connection: Duplex) => {
  opened.push(connection);
  const request = { port: 1, method: 'GET', target: '/', headers: [['host', 'sandbox']] as [string, string][] };
  const socket = askForSocket(connection, request, []);
  expect(await handshake(socket, new AbortController().signal)).toEqual({ kind: 'open' });
  return socket;
};

const ask = async (port: number) => {
  const connection = connect(port, '127.0.0.1');
  await once(connection, 'connect');
  const inner = await askOver(connection);
  inner.resume();
  return inner;
};

const grant = (request: Buffer): string => {
  const key = /sec-websocket-key: (\S+)/i.exec(request.toString())?.[1] ?? '';
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
};

/** A connection whose far end grants a WebSocket, and takes the next piece of what it is sent when told. */
class SlowConnection extends Duplex {
  takenBytes = 0;
  #granted = false;
  #take: (() => void) | undefined;
  #quick = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.#granted) {
      this.#granted = true;
      this.push(grant(chunk));
      return done();
    }
    this.#take = () => {
      this.takenBytes += chunk.length;
      done();
    };
    if (this.#quick) this.#take();
  }

  takeAll(): void {
    this.#quick = true;
    this.#take?.();
  }
}

const messageBytes = 1000;
/** A server inside that has sent ten messages and is gone without a close, and a client who has taken none of them. */
async function joinedWithSlow() {
  const frame = Buffer.concat([
    Buffer.from([0x82, 126, messageBytes >> 8, messageBytes & 0xff]),
    Buffer.alloc(messageBytes),
  ]);
  const port = await startServer((socket) => socket.end(Buffer.concat(Array.from({ length: 10 }, () => frame))));
  const connection = connect(port, '127.0.0.1');
  await once(connection, 'connect');
  const inner = await askOver(connection);
  const slow = new SlowConnection();
  const outer = await askOver(slow);
  const gone = once(inner, 'close');
  const joined = joinSockets(inner, outer, new AbortController().signal);
  expect((await gone)[0]).toBe(1006);
  return { slow, outer, joined };
}

test('what was accepted for a client that reads slowly still comes when the server is gone', async () => {
  const { slow, joined } = await joinedWithSlow();
  expect(slow.takenBytes).toBe(0);
  slow.takeAll();
  await joined;
  // Each with a mask and a header of its own.
  expect(slow.takenBytes).toBe(10 * (messageBytes + 8));
  expect(slow.destroyed).toBe(true);
});

test('… but nobody waits for ever for one that takes nothing', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const { slow, joined } = await joinedWithSlow();
    await vi.advanceTimersByTimeAsync(4_999);
    expect(slow.destroyed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await joined;
    expect(slow.destroyed).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});

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
