import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { bash, createEnvd, envdOf, envelope, EnvelopeReader, textOf, type Envd } from './envelopes.ts';
import { createWire, type Wire } from './wire.ts';

let wire: Wire;
let envd: Envd;
beforeAll(async () => {
  wire = await createWire({ maxSandboxes: 10 });
  envd = await createEnvd(wire);
});
afterAll(() => wire.tenant.cleanUp());

const pidOf = async (stream: EnvelopeReader): Promise<number> => {
  const first = await stream.next();
  expect(Object.keys(first?.event ?? {})).toEqual(['start']);
  return first?.event?.start?.pid ?? 0;
};
const input = (pid: number, text: string) => ({
  process: { pid },
  input: { stdin: Buffer.from(text).toString('base64') },
});
const kill = (process: object) => envd.unary('SendSignal', { process, signal: 'SIGNAL_SIGKILL' });

describe('Start', () => {
  test('answers start, data, end, and an empty last envelope', async () => {
    const stream = await envd.stream('Start', bash('echo hi; echo no >&2; exit 3'));
    expect(stream.response.status).toBe(200);
    expect(stream.response.headers.get('content-type')).toBe('application/connect+json');
    await pidOf(stream);
    const events = await stream.rest();
    expect(textOf(events)).toBe('hi\n');
    expect(textOf(events, 'stderr')).toBe('no\n');
    expect(events.slice(-2)).toEqual([
      { event: { end: { exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' } } },
      { last: true },
    ]);
  });

  test.each([
    ['SIGNAL_SIGKILL', 'signal: killed'],
    [9, 'signal: killed'],
    ['SIGNAL_SIGTERM', 'signal: terminated'],
    [15, 'signal: terminated'],
  ])('a process ended by signal %s ends with its name and no exit code', async (signal, status) => {
    const stream = await envd.stream('Start', bash('exec sleep 60'));
    const pid = await pidOf(stream);
    expect(await (await envd.unary('SendSignal', { process: { pid }, signal })).json()).toEqual({});
    expect((await stream.rest()).at(-2)).toEqual({
      event: { end: { exitCode: -1, exited: false, status, error: status } },
    });
  });

  test('its deadline kills the process, and is the stream’s last word', async () => {
    const stream = await envd.stream('Start', bash('exec sleep 61'), { 'connect-timeout-ms': '400' });
    const pid = await pidOf(stream);
    expect(await stream.rest()).toEqual([
      { last: true, error: { code: 'deadline_exceeded', message: 'the deadline has passed' } },
    ]);
    await waitFor('the process to be gone', async () => (await kill({ pid })).status === 404, 5_000);
  });

  test('a command that is not there, or may not run, is a shell’s 127', async () => {
    const stream = await envd.stream('Start', { process: { cmd: '/no/such' } });
    await pidOf(stream);
    const events = await stream.rest();
    expect(textOf(events, 'stderr')).toContain('/no/such');
    expect(events.at(-2)?.event?.end).toMatchObject({ exitCode: 127, exited: true });
  });

  const refused: [string, object, string, string][] = [
    ['no process', {}, 'invalid_argument', 'process'],
    ['no command', { process: { cmd: '' } }, 'invalid_argument', 'must not be empty'],
    ['an argument with NUL', { process: { cmd: 'echo', args: ['a\0b'] } }, 'invalid_argument', 'NUL'],
    ['a variable with =', { process: { cmd: 'env', envs: { 'a=b': 'c' } } }, 'invalid_argument', 'envs'],
    ['too many arguments', { process: { cmd: 'echo', args: Array(5000).fill('a') } }, 'invalid_argument', '4096'],
    [
      'a terminal without width',
      { process: { cmd: 'sh' }, pty: { size: { cols: 0, rows: 1 } } },
      'invalid_argument',
      'cols',
    ],
    ['a tag beyond bounds', { process: { cmd: 'sh' }, tag: 'x'.repeat(257) }, 'invalid_argument', 'tag'],
    ['a missing cwd', { process: { cmd: 'sh', cwd: '~/no' } }, 'invalid_argument', "cwd '~/no' does not exist"],
  ];
  test.each(refused)('%s is refused in the last envelope', async (_name, message, code, sentence) => {
    const events = await (await envd.stream('Start', message)).rest();
    expect(events).toEqual([{ last: true, error: { code, message: expect.stringContaining(sentence) as string } }]);
  });

  test('a user that there is not is unauthenticated', async () => {
    const authorization = `Basic ${Buffer.from('nobody-here:').toString('base64')}`;
    expect(await (await envd.stream('Start', bash('true'), { authorization })).rest()).toEqual([
      { last: true, error: { code: 'unauthenticated', message: "invalid username: 'nobody-here'" } },
    ]);
  });
});

describe('Connect', () => {
  test('each subscriber gets what comes after it, also one that comes after the end', async () => {
    const script = 'echo one; read a; echo "two $a"; read b; echo "three $b"';
    const starter = await envd.stream('Start', bash(script, { tag: 'shared' }));
    const pid = await pidOf(starter);
    expect(textOf([(await starter.next()) ?? {}])).toBe('one\n');
    const byPid = await envd.stream('Connect', { process: { pid } });
    expect(await pidOf(byPid)).toBe(pid);
    await envd.unary('SendInput', input(pid, 'x\n'));
    expect(textOf([(await byPid.next()) ?? {}])).toBe('two x\n');
    const byTag = await envd.stream('Connect', { process: { tag: 'shared' } });
    expect(await pidOf(byTag)).toBe(pid);
    await byPid.cancel();
    await envd.unary('SendInput', { process: { tag: 'shared' }, input: { stdin: 'eQo=' } });

    expect(textOf(await starter.rest())).toBe('two x\nthree y\n');
    expect(textOf(await byTag.rest())).toBe('three y\n');
    const end = { event: { end: { exitCode: 0, exited: true, status: 'exit status 0' } } };
    for (const process of [{ pid }, { tag: 'shared' }]) {
      const late = await envd.stream('Connect', { process });
      expect(await pidOf(late)).toBe(pid);
      expect(await late.rest()).toEqual([end, { last: true }]);
    }
    expect(await (await kill({ pid })).json()).toEqual({
      code: 'not_found',
      message: `process with pid ${pid} not found`,
    });
  });

  test('one that ended so long ago that it is forgotten is not found, and the others still tell their end', async () => {
    const run = async (tag: string, script: string): Promise<number> => {
      const starter = await envd.stream('Start', bash(script, { tag }));
      const pid = await pidOf(starter);
      await starter.rest();
      return pid;
    };
    const pid = await run('first', 'true');
    // Long ago is 30 s, or 32 MiB of later ones' output, of which a MiB is kept of each.
    for (let at = 0; at < 34; at += 1) await run(`later-${at}`, 'head -c 1100000 /dev/zero');
    for (const [process, what] of [
      [{ pid }, `pid ${pid}`],
      [{ tag: 'first' }, 'tag first'],
    ] as const) {
      expect(await (await envd.stream('Connect', { process })).rest()).toEqual([
        { last: true, error: { code: 'not_found', message: `process with ${what} not found` } },
      ]);
    }
    const late = await envd.stream('Connect', { process: { tag: 'later-33' } });
    await pidOf(late);
    expect(await late.rest()).toMatchObject([{ event: { end: { exitCode: 0 } } }, { last: true }]);
  });

  test('its deadline ends the stream and leaves the process alone', async () => {
    const starter = await envd.stream('Start', bash('exec sleep 62'));
    const pid = await pidOf(starter);
    const late = await envd.stream('Connect', { process: { pid } }, { 'connect-timeout-ms': '300' });
    await pidOf(late);
    expect(await late.rest()).toMatchObject([{ last: true, error: { code: 'deadline_exceeded' } }]);
    expect((await kill({ pid })).status).toBe(200);
    expect((await starter.rest()).at(-2)?.event?.end?.status).toBe('signal: killed');
  });

  test.each([
    [{ pid: 999_999 }, 'not_found', 'process with pid 999999 not found'],
    [{ pid: 0 }, 'not_found', 'process with pid 0 not found'],
    [{ tag: 'nobody' }, 'not_found', 'process with tag nobody not found'],
    [{}, 'invalid_argument', 'process: a process is selected by its pid or its tag'],
    [{ pid: 1, tag: 'both' }, 'invalid_argument', 'process: a process is selected by its pid or its tag'],
    [{ pid: -1 }, 'invalid_argument', expect.stringContaining('pid') as string],
  ])('%j is refused', async (process, code, message) => {
    expect(await (await envd.stream('Connect', { process })).rest()).toEqual([
      { last: true, error: { code, message } },
    ]);
  });

  test('silence is kept alive at the asked interval', async () => {
    const stream = await envd.stream('Start', bash('exec sleep 63'), { 'keepalive-ping-interval': '1' });
    const pid = await pidOf(stream);
    const startedAtMs = performance.now();
    expect(await stream.next()).toEqual({ event: { keepalive: {} } });
    expect(await stream.next()).toEqual({ event: { keepalive: {} } });
    expect(performance.now() - startedAtMs).toBeGreaterThan(1_500);
    await stream.cancel();
    await kill({ pid });
  });

  test('a client that does not read holds up nobody but its own process', async () => {
    const stuck = await envd.stream('Start', bash('exec yes'));
    const pid = await pidOf(stuck);
    for (let round = 0; round < 5; round += 1) {
      const events = await (await envd.stream('Start', bash('seq 20000'))).rest();
      expect(textOf(events).length).toBe(108_894);
    }
    expect((await kill({ pid })).status).toBe(200);
    await stuck.cancel();
  });
});

describe('framing', () => {
  const start = (body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}) =>
    envd.call('/process.Process/Start', {
      method: 'POST',
      headers: { 'content-type': 'application/connect+json', ...headers },
      body,
    });
  const bytes = (...parts: Buffer[]) => new Uint8Array(Buffer.concat(parts));
  const whole = envelope(bash('true'));

  test.each<[string, () => Promise<Response>, string]>([
    ['no envelope', () => start('{}'), 'invalid_argument'],
    ['half an envelope', () => start(bytes(whole.subarray(0, 20))), 'invalid_argument'],
    ['two envelopes', () => start(bytes(whole, whole)), 'invalid_argument'],
    ['a last envelope first', () => start(bytes(envelope({}, 2))), 'invalid_argument'],
    ['a compressed envelope', () => start(bytes(envelope(bash('true'), 1))), 'unimplemented'],
    ['an announced compression', () => start(bytes(whole), { 'connect-content-encoding': 'gzip' }), 'unimplemented'],
    ['what is not JSON', () => start(bytes(Buffer.from([0, 0, 0, 0, 1]), Buffer.from('{'))), 'invalid_argument'],
    ['a deadline that is none', () => start(bytes(whole), { 'connect-timeout-ms': '1s' }), 'invalid_argument'],
    ['a message of 5 MB', () => start(bytes(envelope(bash('x'.repeat(5_000_000))))), 'resource_exhausted'],
  ])('%s is refused in the last envelope, on 200', async (_name, send, code) => {
    const response = await send();
    expect(response.status).toBe(200);
    expect(await new EnvelopeReader(response).rest()).toMatchObject([{ last: true, error: { code } }]);
  });

  test('identity is no compression', async () => {
    const response = await start(bytes(whole), {
      'content-encoding': 'identity',
      'connect-content-encoding': 'identity',
    });
    expect((await new EnvelopeReader(response).rest()).at(-1)).toEqual({ last: true });
  });

  test('a type that is not spoken is 415, with the one that is', async () => {
    for (const type of ['application/json', 'application/connect+proto', 'application/grpc', 'text/plain']) {
      const response = await start(bytes(whole), { 'content-type': type });
      expect([response.status, response.headers.get('accept-post')]).toEqual([415, 'application/connect+json']);
    }
    for (const type of ['application/connect+json', 'application/proto', 'application/jsonp']) {
      const response = await envd.unary('List', {}, { 'content-type': type });
      expect([response.status, response.headers.get('accept-post')]).toEqual([415, 'application/json']);
    }
    expect((await envd.unary('List', {}, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(200);
  });

  test('a unary refusal has its HTTP status and says why', async () => {
    const bad = await envd.call('/process.Process/List', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '[',
    });
    expect([bad.status, await bad.json()]).toEqual([
      400,
      { code: 'invalid_argument', message: 'the message is not JSON' },
    ]);
    const unknown = await envd.unary('SendSignal', { process: { pid: 1 } });
    expect([unknown.status, await unknown.json()]).toEqual([
      501,
      { code: 'unimplemented', message: 'invalid signal: SIGNAL_UNSPECIFIED' },
    ]);
    const garbled = await envd.unary('SendInput', { process: { pid: 1 }, input: { stdin: '%%' } });
    expect([garbled.status, await garbled.json()]).toEqual([
      400,
      { code: 'invalid_argument', message: 'input.stdin: bytes are base64 (RFC 4648)' },
    ]);
    expect((await envd.unary('List', {}, { 'content-encoding': 'gzip' })).status).toBe(501);
  });

  test('what is no RPC is 404', async () => {
    for (const path of ['/process.Process/Nothing', '/nothing.Service/At', '/init', '/freeze', '/collapse']) {
      expect((await envd.call(path, { method: 'POST', body: '{}' })).status).toBe(404);
    }
    expect((await envd.call('/process.Process/List')).status).toBe(404);
  });
});

test('a process that does not read holds its writer back until the writer’s deadline', async () => {
  const stream = await envd.stream('Start', bash('exec sleep 64'));
  const pid = await pidOf(stream);
  const megabytes = input(pid, 'x'.repeat(3_000_000));
  const late = await envd.unary('SendInput', megabytes, { 'connect-timeout-ms': '500' });
  expect([late.status, await late.json()]).toMatchObject([504, { code: 'deadline_exceeded' }]);
  await kill({ pid });
  await stream.cancel();
});

test('Update without a size only looks whether the process is there; one without a terminal has none', async () => {
  const stream = await envd.stream('Start', bash('exec sleep 65'));
  const pid = await pidOf(stream);
  expect((await envd.unary('Update', { process: { pid } })).status).toBe(200);
  expect((await envd.unary('Update', { process: { pid: 999_999 } })).status).toBe(404);
  const size = { pty: { size: { cols: 80, rows: 24 } } };
  expect((await envd.unary('Update', { process: { pid }, ...size })).status).toBe(400);
  await kill({ pid });
  await stream.cancel();
});

describe('a sandbox that is gone', () => {
  const goneBody = ({ sandboxId }: Envd) => ({ sandboxId, message: 'The sandbox was not found', code: 502 });

  test('cuts the streams that are open, and answers the calls that are under way with 502', async () => {
    const doomed = await createEnvd(wire);
    const stream = await doomed.stream('Start', bash('exec sleep 66'));
    const pid = await pidOf(stream);
    const connected = await doomed.stream('Connect', { process: { pid } });
    await pidOf(connected);
    const blocked = doomed.unary('SendInput', input(pid, 'x'.repeat(3_000_000)));
    const healths = [stream, connected].map(async (reader) => {
      await expect(reader.rest()).rejects.toThrow('terminated');
      return (await doomed.call('/health')).status;
    });
    const killed = wire.send('DELETE', `/sandboxes/${doomed.sandboxId}`);
    expect(await Promise.all(healths)).toEqual([502, 502]);
    const answer = await blocked;
    expect([answer.status, await answer.json()]).toEqual([502, goneBody(doomed)]);
    expect((await killed).status).toBe(204);
    for (const late of [
      await doomed.call('/health'),
      await doomed.call('/metrics'),
      await doomed.unary('List', {}),
      (await doomed.stream('Start', bash('true'))).response,
    ]) {
      expect(late.status).toBe(502);
    }
  });

  test.each(['0'.repeat(32), 'nonsense', '00000000000040008000000000000000'])('%s never was', async (sandboxId) => {
    const never = envdOf(sandboxId, undefined);
    const answer = await never.call('/health');
    expect([answer.status, await answer.json()]).toEqual([502, goneBody(never)]);
    expect((await never.unary('List', {})).status).toBe(502);
  });

  test('as one that is paused', async () => {
    const paused = await createEnvd(wire);
    expect((await wire.send('POST', `/sandboxes/${paused.sandboxId}/pause`)).status).toBe(204);
    expect((await paused.call('/health')).status).toBe(502);
    expect((await paused.unary('List', {})).status).toBe(502);
  });
});
