import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createAgentSession } from '../../runner/agent/host.ts';
import { SOCKET_NAME } from '../../runner/agent/paths.ts';
import type { AgentSession } from '../../runner/agent/session.ts';
import type { AgentHello, AgentReply, AgentRequest } from '../../runner/protocol/agent.ts';
import {
  FrameReader,
  agentProtocol,
  decodeDetach,
  decodeJson,
  encodeFrame,
  encodeHeader,
  encodeJson,
  frameKind,
  outputFrame,
} from '../../runner/protocol/agent.ts';
import { waitFor } from '../wait-for.ts';
import { Collector, specOf, watchSink, wholeOutput } from './agent-container.ts';

/** Root in a sandbox can kill the agent and talk to the runner itself: this is what it may say. */
let folder: string;
let session: AgentSession;
let dialled: Socket[] = [];
let violations = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gbx-'));
  violations = 0;
  session = await createAgentSession({
    socketDir: join(folder, 's'),
    log: (event) => {
      if (event === 'agent broke the protocol') violations += 1;
    },
  });
});
afterEach(async () => {
  for (const socket of dialled) socket.destroy();
  dialled = [];
  await session.close();
  await rm(folder, { recursive: true, force: true });
});

const boot = 'ab'.repeat(16);
const controlHello: AgentHello = { role: 'control', protocol: agentProtocol, boot, pid: 7 };

function dial(): Socket {
  const socket = connect(join(folder, 's', SOCKET_NAME));
  socket.on('error', () => undefined);
  dialled.push(socket);
  return socket;
}

const closed = (socket: Socket): Promise<true> =>
  waitFor('the connection to be closed', () => socket.destroyed || undefined, 5_000);

/** An agent that answers as `answer` says. */
async function impostor(
  answer: (request: AgentRequest, socket: Socket) => void,
  onDetach: (reader: number) => void = () => undefined,
): Promise<Socket> {
  const socket = dial();
  const frames = new FrameReader(() => 16 * 1024 * 1024);
  socket.on('data', (chunk) => {
    for (const { kind, payload } of frames.push(chunk)) {
      if (kind === frameKind.request) answer(decodeJson(payload) as AgentRequest, socket);
      if (kind === frameKind.detach) onDetach(decodeDetach(payload));
    }
  });
  socket.write(encodeJson(frameKind.hello, controlHello));
  await session.ready(5_000);
  return socket;
}
const reply = (socket: Socket, message: AgentReply): void => void socket.write(encodeJson(frameKind.reply, message));
const started = (request: AgentRequest, socket: Socket): void => reply(socket, { id: request.id, value: { pid: 9 } });

async function readerOf(sink: Collector): Promise<void> {
  await session.start(specOf('true'), { attach: { ...wholeOutput, creditBytes: 1000 }, sink });
}

describe('before a hello', () => {
  test.each([
    ['garbage', randomBytes(4096)],
    ['a length of 4 GiB', Buffer.from([0xff, 0xff, 0xff, 0xff, 0])],
    ['a frame of another kind', encodeFrame(frameKind.reply, Buffer.from('{}'))],
    ['a hello that is no JSON', encodeFrame(frameKind.hello, Buffer.from('{{{'))],
    ['a hello of another protocol', encodeJson(frameKind.hello, { ...controlHello, protocol: 99 })],
    ['a data connection that nobody asked for', encodeJson(frameKind.hello, { role: 'data', token: 'cd'.repeat(16) })],
  ])('%s ends the connection and nothing else', async (_, bytes) => {
    const socket = dial();
    socket.write(bytes);
    await closed(socket);
    expect(session.connected).toBe(false);
    await impostor(started);
    expect(session.connected).toBe(true);
  });

  test('silence ends the connection after its deadline', async () => {
    await closed(dial());
    expect(violations).toBe(1);
  });

  test('a flood of connections ends the session, not the runner', async () => {
    session.ready(20_000).catch(() => undefined);
    for (let round = 0; round < 600; round += 1) dial();
    await waitFor('the session to be given up', () => violations >= 16, 10_000);
    await expect(session.list()).rejects.toMatchObject({ code: 'agent_unavailable' });
  });
});

describe('on a control connection', () => {
  test.each<[string, () => Uint8Array]>([
    ['a giant length', () => encodeHeader(frameKind.output, 1 << 30)],
    ['a reply to no request', () => encodeJson(frameKind.reply, { id: 12345, value: null })],
    ['a reply of no shape', () => encodeFrame(frameKind.reply, Buffer.from('[1,2'))],
    ['output for a reader that never was', () => outputFrame(999, 1, 0, 10).frame],
    ['output of no shape', () => encodeFrame(frameKind.output, Buffer.alloc(3))],
    ['an event of no shape', () => encodeFrame(frameKind.event, Buffer.from('{"event":"boom"}'))],
    [
      'events of a watch that never was',
      () => encodeJson(frameKind.event, { event: 'watch', watchId: 5, events: [], droppedEvents: 0 }),
    ],
    ['a frame of unknown kind', () => encodeFrame(77, Buffer.alloc(1))],
  ])('%s ends it, with what was pending told as unavailable', async (_, bytes) => {
    const socket = await impostor(() => undefined);
    const pending = session.list();
    pending.catch(() => undefined);
    socket.write(bytes());
    await expect(pending).rejects.toMatchObject({ code: 'agent_unavailable' });
    await closed(socket);
    expect(violations).toBe(1);
  });

  test('output beyond the credit, or sent twice, never reaches the reader', async () => {
    const sink = new Collector();
    const socket = await impostor(started);
    await readerOf(sink);
    socket.write(outputFrame(1, 1, 0, 600).frame);
    await waitFor('the first', () => sink.receivedBytes === 600, 5_000);
    socket.write(outputFrame(1, 1, 600, 401).frame);
    await closed(socket);
    expect(sink.receivedBytes).toBe(600);
  });

  test('a result of the wrong shape is no result', async () => {
    const socket = await impostor((request, at) =>
      reply(at, { id: request.id, value: [{ processId: 'x'.repeat(100_000) }] }),
    );
    await expect(session.list()).rejects.toMatchObject({ code: 'agent_unavailable' });
    await closed(socket);
  });

  test('more bytes of a file than told are refused', async () => {
    const entry = {
      name: 'f',
      path: '/f',
      kind: 'file',
      sizeBytes: 3,
      mode: 0o644,
      uid: 0,
      gid: 0,
      owner: 'r',
      group: 'r',
      modifiedAtMs: 0,
    };
    await impostor((request, socket) => {
      if (request.op !== 'read') return;
      reply(socket, { id: request.id, value: { entry, contentBytes: 3 } });
      const data = dial();
      data.write(encodeJson(frameKind.hello, { role: 'data', token: request.token }));
      for (let round = 0; round < 1000; round += 1) data.write(encodeFrame(frameKind.chunk, Buffer.alloc(2)));
    });
    const { body } = await session.read({ kind: 'file', path: '/f', user: 'user' }, AbortSignal.timeout(10_000));
    let received = 0;
    await expect(
      (async () => {
        for await (const bytes of body) received += bytes.length;
      })(),
    ).rejects.toMatchObject({ code: 'transfer_failed' });
    expect(received).toBeLessThanOrEqual(3);
  });

  test('sixteen violations end the session', async () => {
    for (let round = 0; round < 16; round += 1) {
      const socket = dial();
      socket.write(randomBytes(64));
      await closed(socket);
    }
    await expect(session.list()).rejects.toMatchObject({ code: 'agent_unavailable', message: 'The sandbox is gone.' });
  });
});

describe('redial', () => {
  test('a fresh control connection of the same agent takes the readers over, with what they were sent', async () => {
    const sink = new Collector();
    const socket = await impostor(started);
    await readerOf(sink);
    socket.write(outputFrame(1, 1, 0, 600).frame);
    await waitFor('the first', () => sink.receivedBytes === 600, 5_000);
    const asked: AgentRequest[] = [];
    const { promise, resolve } = Promise.withResolvers<Socket>();
    void impostor((request, next) => {
      asked.push(request);
      reply(next, { id: request.id, value: { offset: 600 } });
      resolve(next);
    });
    const next = await promise;
    await closed(socket);
    expect(asked[0]).toMatchObject({ op: 'attach', reader: { id: 1, attach: { fromOffset: 600, creditBytes: 400 } } });
    next.write(outputFrame(1, 1, 600, 400).frame);
    await waitFor('the rest', () => sink.receivedBytes === 1000, 5_000);
    expect(sink.gone).toBe(false);
  });

  test('more readers than there is room for requests are taken over a few at a time, whatever else is asked', async () => {
    const sinks = Array.from({ length: 1500 }, () => new Collector());
    const first = await impostor(started);
    for (let at = 0; at < sinks.length; at += 500) await Promise.all(sinks.slice(at, at + 500).map(readerOf));
    await session.hangUp();
    await closed(first);
    // As many callers as there is room for are there before the readers are through.
    const callers = Promise.allSettled(Array.from({ length: 1024 }, () => session.list()));
    await session.listen();
    const attached = new Set<number>();
    let unanswered = 0;
    let mostUnanswered = 0;
    let lists = 0;
    await impostor((request, socket) => {
      if (request.op === 'list') lists += 1;
      if (request.op !== 'attach') return;
      attached.add(request.reader.id);
      unanswered += 1;
      mostUnanswered = Math.max(mostUnanswered, unanswered);
      setTimeout(() => {
        unanswered -= 1;
        reply(socket, { id: request.id, value: { offset: 0 } });
      }, 1);
    });
    await waitFor('all readers', () => attached.size === sinks.length, 10_000);
    expect(mostUnanswered).toBeLessThanOrEqual(64);
    expect(lists).toBe(1024);
    expect(sinks.filter(({ gone }) => gone)).toEqual([]);
    expect(violations).toBe(0);
    await session.close();
    expect((await callers).filter(({ status }) => status === 'fulfilled')).toEqual([]);
  });

  test('what a reader grants, and that it leaves, before its turn to be taken over counts', async () => {
    const sink = new Collector();
    const socket = await impostor(started);
    // The first 64 are asked for at once.
    await Promise.all(Array.from({ length: 64 }, () => readerOf(new Collector())));
    const { reader: granting } = await session.start(specOf('true'), {
      attach: { ...wholeOutput, creditBytes: 1000 },
      sink,
    });
    const { reader: leaving } = await session.start(specOf('true'), { attach: wholeOutput, sink: new Collector() });
    const asked: AgentRequest[] = [];
    void impostor((request) => void asked.push(request));
    await closed(socket);
    await waitFor('the first of them', () => asked.length === 64, 5_000);
    granting?.grant(234);
    leaving?.detach();
    const next = dialled.at(-1);
    if (next === undefined) throw new Error('no connection');
    for (const { id } of asked.slice(0, 64)) reply(next, { id, value: { offset: 0 } });
    await waitFor('the next', () => asked.length === 65, 5_000);
    expect(asked[64]).toMatchObject({ op: 'attach', reader: { id: 65, attach: { creditBytes: 1234 } } });
  });

  test('a reader that can’t be taken over is told so, and the agent is told that nobody reads', async () => {
    const sink = new Collector();
    const socket = await impostor(started);
    await readerOf(sink);
    const detached: number[] = [];
    const fault = { code: 'process_not_found' as const, message: 'no such process' };
    await impostor(
      ({ id }, next) => reply(next, { id, fault }),
      (reader) => detached.push(reader),
    );
    await closed(socket);
    await expect(sink.ended).rejects.toThrow('lost');
    await waitFor('the agent to be told', () => detached.length > 0, 5_000);
    expect(detached).toEqual([1]);
  });

  test('another agent knows none of the processes: their readers are told', async () => {
    const sink = new Collector();
    await impostor(started);
    await readerOf(sink);
    const other = dial();
    other.write(encodeJson(frameKind.hello, { ...controlHello, boot: 'cd'.repeat(16) }));
    await waitFor('the reader to be told', () => sink.gone, 5_000);
    await expect(sink.ended).rejects.toThrow('lost');
  });

  test('input of which the answer was cut off is in doubt, and not for trying again as a matter of course', async () => {
    const first = await impostor(() => undefined);
    const asked = session.list();
    const writing = session.writeStdin('ab'.repeat(16), Buffer.from('once'));
    writing.catch(() => undefined);
    first.destroy();
    await expect(asked).rejects.toMatchObject({ code: 'agent_unavailable' });
    await expect(writing).rejects.toMatchObject({ code: 'transfer_failed' });
    // What was not even sent is not.
    await expect(session.writeStdin('ab'.repeat(16), Buffer.from('never'))).rejects.toMatchObject({
      code: 'agent_unavailable',
    });
  });

  const watched = { path: '/w', user: 'user', recursive: false };

  test('a watch that was being opened when the connection broke is opened nowhere', async () => {
    const first = await impostor(() => undefined);
    const opening = session.watch(
      watched,
      watchSink(() => undefined),
    );
    opening.catch(() => undefined);
    const asked: AgentRequest[] = [];
    await impostor((request, socket) => {
      asked.push(request);
      reply(socket, { id: request.id, value: null });
    });
    await closed(first);
    await expect(opening).rejects.toMatchObject({ code: 'agent_unavailable' });
    await waitFor('it to be closed', () => asked.at(-1)?.op === 'unwatch', 5_000);
    expect(asked.map(({ op }) => op)).toEqual(['watch', 'unwatch']);
    expect(asked.map((request) => 'watchId' in request && request.watchId)).toEqual([1, 1]);
  });

  test('a watch that can’t be opened again says why, once, and is closed', async () => {
    const first = await impostor((request, socket) => reply(socket, { id: request.id, value: null }));
    const told: unknown[] = [];
    const watch = await session.watch(watched, {
      events: (events, dropped) => told.push([events.length, dropped]),
      lost: (error) => told.push(error),
    });
    const asked: AgentRequest[] = [];
    await impostor((request, socket) => {
      asked.push(request);
      const fault = { code: 'file_not_found' as const, message: '/w: no such directory' };
      reply(socket, request.op === 'watch' ? { id: request.id, fault } : { id: request.id, value: null });
    });
    await closed(first);
    await waitFor('it to be told', () => told.length === 2, 5_000);
    expect(told).toEqual([[0, 1], expect.objectContaining({ code: 'file_not_found' })]);
    watch.close();
    await session.list().catch(() => undefined); // a reply of no shape, after all that came before
    expect(asked.map(({ op }) => op)).toEqual(['watch', 'unwatch', 'list']);
  });

  test('without an agent a request fails as unavailable within seconds', async () => {
    const from = performance.now();
    await expect(session.list()).rejects.toMatchObject({ code: 'agent_unavailable' });
    expect(performance.now() - from).toBeLessThan(4_000);
  });
});
