import { request, type ClientRequest } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { bash, createEnvd, envelope, EnvelopeReader, textOf, type Envd } from './envelopes.ts';
import { createWire, type Wire } from './wire.ts';

let wire: Wire;
let envd: Envd;
beforeAll(async () => {
  wire = await createWire();
  envd = await createEnvd(wire);
});
afterAll(() => wire.tenant.cleanUp());

const start = (process: object) => ({ start: { process } });
const data = (text: string, kind = 'stdin') => ({ data: { input: { [kind]: Buffer.from(text).toString('base64') } } });

/** A call whose body is written by hand, piece by piece; its answer's messages. */
function streamInput(headers: Record<string, string> = {}) {
  const answer = Promise.withResolvers<unknown[]>();
  answer.promise.catch(() => undefined); // a test that wants only the status asks for nothing else
  const status = Promise.withResolvers<number | undefined>();
  const outgoing: ClientRequest = request(`${installation().url}/process.Process/StreamInput`, {
    method: 'POST',
    headers: {
      'content-type': 'application/connect+json',
      'e2b-sandbox-id': envd.sandboxId,
      'e2b-sandbox-port': '49983',
      'x-access-token': envd.token ?? '',
      ...headers,
    },
  });
  outgoing.on('error', answer.reject);
  outgoing.on('response', (incoming) => {
    status.resolve(incoming.statusCode);
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('error', answer.reject);
    incoming.on('end', () => {
      answer.resolve(new EnvelopeReader(new Response(Buffer.concat(chunks))).rest());
    });
  });
  outgoing.flushHeaders();
  return {
    write: (...messages: object[]) => outgoing.write(Buffer.concat(messages.map((message) => envelope(message)))),
    writeBytes: (bytes: Uint8Array) => outgoing.write(bytes),
    end: () => outgoing.end(),
    answer: answer.promise,
    status: status.promise,
  };
}

async function startReader(script: string, more: Record<string, unknown> = {}) {
  const stream = await envd.stream('Start', bash(script, more));
  const pid = (await stream.next())?.event?.start?.pid ?? 0;
  return { stream, pid };
}

const success = [{}, { last: true }];
const failure = (code: string) => [{ last: true, error: expect.objectContaining({ code }) as unknown }];

test('what is written arrives while the call goes on, in its order, also cut anywhere; keepalives say nothing', async () => {
  const { stream, pid } = await startReader('while read -r line; do echo "<$line>"; done');
  const call = streamInput();
  call.write(start({ pid }), { keepalive: {} }, data('one\n'));
  expect(textOf([(await stream.next()) ?? {}])).toBe('<one>\n');
  const two = envelope(data('two\n'));
  for (const byte of two) call.writeBytes(Uint8Array.of(byte));
  expect(textOf([(await stream.next()) ?? {}])).toBe('<two>\n');
  const numbers = Array.from({ length: 60 }, (_, at) => at);
  call.write(...numbers.map((number) => data(`${number}\n`)));
  call.end();
  expect(await call.answer).toEqual(success);
  await envd.unary('CloseStdin', { process: { pid } });
  expect(textOf(await stream.rest())).toBe(numbers.map((number) => `<${number}>\n`).join(''));
});

test('a terminal is typed into, by its tag', async () => {
  const { stream } = await startReader('read -r line; echo "got $line"', {
    tag: 'typed',
    pty: { size: { cols: 80, rows: 24 } },
  });
  const call = streamInput();
  call.write(start({ tag: 'typed' }), data('hel', 'pty'));
  call.write(data('lo\r', 'pty'));
  call.end();
  expect(await call.answer).toEqual(success);
  expect(textOf(await stream.rest(), 'pty')).toContain('got hello');
});

test.each<[string, Buffer[], string]>([
  ['input for nobody yet', [envelope(data('x'))], 'failed_precondition'],
  ['a process that there is not', [envelope(start({ pid: 999_999 }))], 'not_found'],
  ['a message that is none of the three', [envelope({})], 'invalid_argument'],
  ['two in one', [envelope({ ...start({ pid: 1 }), ...data('x') })], 'invalid_argument'],
  ['what is not base64', [envelope({ data: { input: { stdin: '%' } } })], 'invalid_argument'],
  ['half a message', [envelope(start({ pid: 1 })).subarray(0, 9)], 'invalid_argument'],
  ['a last envelope', [envelope({}, 2)], 'invalid_argument'],
  ['a compressed message', [envelope(data('x'), 1)], 'unimplemented'],
  ['a message that is too long', [Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])], 'resource_exhausted'],
])('%s is refused by the last envelope', async (_name, bytes, code) => {
  const call = streamInput();
  for (const piece of bytes) call.writeBytes(piece);
  call.end();
  expect(await call.answer).toEqual(failure(code));
});

test('a refusal is heard by who goes on writing', async () => {
  const call = streamInput();
  call.write(start({ pid: 999_999 }));
  for (let piece = 0; piece < 20; piece += 1) call.write(data('x'.repeat(1_000_000)));
  expect(await call.answer).toEqual(failure('not_found'));
});

test('a process that reads nothing holds the call back until its deadline, and nothing is written after it', async () => {
  const { stream, pid } = await startReader('exec sleep 66');
  const call = streamInput({ 'connect-timeout-ms': '500' });
  call.write(start({ pid }), data('x'.repeat(2_000_000)), data('never'));
  expect(await call.answer).toEqual(failure('deadline_exceeded'));
  await envd.unary('SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' });
  await stream.cancel();
});

test('the end of the sandbox is the proxy’s 502', async () => {
  const other = await createEnvd(wire);
  const { sandboxId, token = '' } = other;
  const call = streamInput({ 'e2b-sandbox-id': sandboxId, 'x-access-token': token });
  const stream = await other.stream('Start', bash('exec cat'));
  const pid = (await stream.next())?.event?.start?.pid ?? 0;
  call.write(start({ pid }), data('x\n'));
  expect(textOf([(await stream.next()) ?? {}])).toBe('x\n');
  await wire.send('DELETE', `/sandboxes/${sandboxId}`);
  call.write(data('y\n'));
  expect(await call.status).toBe(502);
});
