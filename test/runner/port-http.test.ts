import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gather } from '../../runner/ports/gather.ts';
import { headOf, openRequest, responseOf } from '../../runner/ports/http.ts';
import { askForSocket, handshake } from '../../runner/ports/sockets.ts';
import { RunnerError } from '../../runner/protocol/errors.ts';
import type { PortRequest } from '../../runner/protocol/ports.ts';

/** A Duplex has no socket's methods: Node's client must do without them, whatever the server says. */
const crashes: unknown[] = [];
const crash = (error: unknown): void => void crashes.push(error);
beforeAll(() => void process.on('uncaughtException', crash));
afterAll(() => void process.off('uncaughtException', crash));

const request: PortRequest = { port: 8000, method: 'GET', target: '/', headers: [['host', 'x']] };

const lines = fc.array(
  fc.oneof(
    fc.constantFrom(
      'HTTP/1.1 200 OK',
      'HTTP/1.1 101 Switching Protocols',
      'HTTP/1.1 100 Continue',
      'HTTP/1.1 403 Forbidden',
      'HTTP/1.1 204 No Content',
      'HTTP/1.0 304',
      'Content-Length: 5',
      'Content-Length: 18446744073709551616',
      'Content-Length: -1',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: identity, chunked',
      'Connection: keep-alive',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Accept: x',
      'Keep-Alive: timeout=1, max=1',
      'Location: ws://elsewhere/',
      'Trailer: x',
      '5',
      'hello',
      '0',
      '',
    ),
    fc.string(),
  ),
  { maxLength: 12 },
);
const anyAnswer = fc.oneof(
  lines.map((all) => Buffer.from(all.join('\r\n'))),
  lines.map((all) => Buffer.from(`HTTP/1.1 200 OK\r\n${all.join('\r\n')}\r\n\r\nrest`)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);
type Ending = 'end' | 'destroy' | 'fail';
const anyEnding = fc.constantFrom<Ending>('end', 'destroy', 'fail');

const serverOf = (answer: Buffer, ending: Ending) => {
  const [ours, theirs] = duplexPair();
  theirs.on('error', () => undefined);
  ours.on('error', () => undefined);
  theirs.once('data', () => {
    theirs.write(answer, () => {
      if (ending === 'end') theirs.end();
      else if (ending === 'destroy') theirs.destroy();
      else ours.destroy(new RunnerError('port_failed', 'cut'));
    });
  });
  return ours;
};

test('whatever a server answers, a request gets a head and a body, or an error that is told', async () => {
  await fc.assert(
    fc.asyncProperty(anyAnswer, anyEnding, async (bytes, ending) => {
      const connection = serverOf(bytes, ending);
      const asked = openRequest(connection, request, 'none');
      const answer = responseOf(asked);
      asked.end();
      const whole = async () => {
        const { status } = headOf(await answer, 'GET');
        await gather(await answer, 1_000_000, 200);
        return status;
      };
      const told = await whole().catch((error: unknown) => error);
      connection.destroy();
      expect(told instanceof Error || (typeof told === 'number' && told >= 200 && told < 600)).toBe(true);
    }),
    { numRuns: 300 },
  );
  expect(crashes).toEqual([]);
});

test('whatever a server answers to who asks for a WebSocket, it is granted, refused, or an error that is told', async () => {
  await fc.assert(
    fc.asyncProperty(anyAnswer, anyEnding, async (bytes, ending) => {
      const connection = serverOf(bytes, ending);
      const socket = askForSocket(connection, request, []);
      const deadline = AbortSignal.timeout(1_000);
      const answer = await handshake(socket, deadline).catch((error: unknown) => error);
      expect(answer instanceof Error && !(answer instanceof RunnerError)).toBe(false);
      socket.terminate();
      connection.destroy();
    }),
    { numRuns: 300 },
  );
  expect(crashes).toEqual([]);
});
