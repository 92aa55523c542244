import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { letGo, type OutEvent } from '../../runner/protocol/channel.ts';
import type { RunnerFault } from '../../runner/protocol/errors.ts';
import type { ServiceError } from '../../worker/core/errors.ts';
import { ProcessReader } from '../../worker/durable/broker/process-reader.ts';
import { exited, hex } from './support/runner.ts';
import { liveRoute, processSpec, ref, shardOver, TransportDouble } from './support/transport.ts';

const attachment = { fromOffset: 0, creditBytes: 256 * 1024, foreground: true, output: true };
const { processId } = processSpec;
const started: OutEvent = { t: 'started', processId, pid: 7 };
const data = (offset: number): OutEvent => ({ t: 'data', fd: 1, o: offset });
const fault = (code: RunnerFault['code']): OutEvent => ({ t: 'error', fault: { code, message: code } });

let transport: TransportDouble;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  transport = new TransportDouble();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A reader, and what its sink was told: the kind of each event, text of output, the code of a failure. */
const read = async (how: 'start' | 'attach') => {
  const told: string[] = [];
  const sink = {
    event: (event: OutEvent, bytes?: Uint8Array) => void told.push(bytes ? String(Buffer.from(bytes)) : event.t),
    fail: (error: ServiceError) => void told.push(error.code),
  };
  const reader = new ProcessReader(shardOver(transport), ref, liveRoute, { processId }, attachment, sink);
  await (how === 'start' ? reader.start(processSpec, attachment) : reader.attach());
  return told;
};
const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const attaches = () => transport.jobs.filter(({ name }) => name === 'process.attach').length;

describe('a start of which nothing was heard when Redis forgot it', () => {
  test('is not_started when the runner does not know the process, once none can come any more', async () => {
    const told = await read('start');
    transport.listener?.lost();
    for (let waitedMs = 0; waitedMs < 6_000; waitedMs += 500) {
      await after(waitedMs === 0 ? 0 : 500);
      transport.last.say({ t: 'accepted' });
      transport.last.say(fault('process_not_found'));
      expect(told).toEqual([]);
    }
    await after(1_000);
    transport.last.say({ t: 'accepted' });
    transport.last.say(fault('process_not_found'));
    expect(told).toEqual(['not_started']);
  });

  test('goes on where it has begun after all', async () => {
    const told = await read('start');
    transport.listener?.lost();
    await after(0);
    transport.last.say({ t: 'accepted' });
    transport.last.say(fault('process_not_found'));
    await after(500);
    expect(attaches()).toBe(2);
    for (const event of [{ t: 'accepted' } as const, started, exited(0)]) transport.last.say(event);
    expect(told).toEqual(['started', 'exit']);
  });

  test('may have run where its runner had begun, or so long ago that its end may be forgotten', async () => {
    const begun = await read('start');
    transport.last.say({ t: 'accepted' });
    transport.listener?.lost();
    await after(0);
    transport.last.say({ t: 'accepted' });
    transport.last.say(fault('process_not_found'));
    expect(begun).toEqual(['runner_lost']);

    const late = await read('start');
    await after(6_400);
    transport.listener?.lost();
    for (let waitedMs = 0; waitedMs < 19_500; waitedMs += 500) {
      await after(waitedMs === 0 ? 0 : 500);
      transport.last.say({ t: 'accepted' });
      transport.last.say(fault('agent_unavailable'));
    }
    await after(500);
    transport.last.say({ t: 'accepted' });
    await after(2_000);
    transport.last.say(fault('process_not_found'));
    expect(late).toEqual(['runner_lost']);
  });
});

describe('a reader that is being attached again', () => {
  test('has its 20 s also while the agent is away, and again after the next loss', async () => {
    const told = await read('attach');
    for (const loss of [1, 2]) {
      transport.last.say({ t: 'accepted' });
      transport.last.say(started);
      transport.listener?.lost();
      await after(0);
      for (let waitedMs = 0; waitedMs < 19_000; waitedMs += 500) {
        transport.last.say({ t: 'accepted' });
        transport.last.say(fault('agent_unavailable'));
        await after(500);
      }
      expect(attaches()).toBe(1 + loss * 39);
    }
    transport.last.say({ t: 'accepted' });
    transport.last.say(started);
    transport.last.say(exited(0));
    expect(told).toEqual(['started', 'exit']);
  });

  test('is told when the time is over, and what is certain at once', async () => {
    const late = await read('attach');
    transport.boot = null;
    transport.listener?.lost();
    await after(21_000);
    expect(late).toEqual(['runner_lost']);

    transport.boot = hex(16);
    for (const [code, said] of [
      ['process_not_found', 'process_not_found'],
      ['sandbox_ended', 'sandbox_ended'],
      ['engine_failed', 'runner_lost'],
    ] as const) {
      const told = await read('attach');
      transport.last.say({ t: 'accepted' });
      transport.last.say(started);
      transport.listener?.lost();
      await after(0);
      transport.last.say({ t: 'accepted' });
      transport.last.say(fault(code));
      expect(told).toEqual(['started', said]);
    }
  });

  test('is attached once, also where a second loss cuts the first attempt off', async () => {
    const told = await read('attach');
    for (const event of [{ t: 'accepted' } as const, started]) transport.last.say(event);
    const cut = transport.loseNextDelivery();
    transport.listener?.lost();
    await after(0);
    cut();
    await after(2_000);
    expect(attaches()).toBe(2);
    for (const event of [{ t: 'accepted' } as const, started, exited(0)]) transport.last.say(event);
    expect(told).toEqual(['started', 'exit']);
  });
});

describe('a runner that lets go of its readers', () => {
  const begin = async () => {
    const told = await read('start');
    for (const event of [{ t: 'accepted' } as const, started]) transport.last.say(event);
    transport.last.say(data(0), 'before ');
    return told;
  };

  test('as it stops: they go on in its next life from where they were, and miss nothing', async () => {
    const told = await begin();
    transport.last.say(letGo);
    transport.boot = null;
    await after(5_000);
    expect(told).toEqual(['started', 'before ']);
    transport.boot = hex(16);
    await after(500);
    expect(transport.last.data).toMatchObject({
      process: { processId },
      attach: { fromOffset: 7, creditBytes: 262_144 },
    });
    for (const event of [{ t: 'accepted' } as const, started]) transport.last.say(event);
    transport.last.say(data(7), 'after');
    transport.last.say(exited(12));
    expect(told).toEqual(['started', 'before ', 'after', 'exit']);
  });

  test('before it has said that the process is there', async () => {
    const told = await read('start');
    transport.last.say({ t: 'accepted' });
    transport.last.say(letGo);
    await after(500);
    for (const event of [{ t: 'accepted' } as const, started, exited(0)]) transport.last.say(event);
    expect(told).toEqual(['started', 'exit']);
  });

  test('having given up what it could not send: the gap before its last word is a loss on the way', async () => {
    const told = await begin();
    transport.listener?.entry({ c: transport.last.data.reply.channel, q: 9, ...letGo }, undefined);
    await after(0);
    expect(transport.last.data).toMatchObject({ attach: { fromOffset: 7 } });
    for (const event of [{ t: 'accepted' } as const, started, exited(7)]) transport.last.say(event);
    expect(told).toEqual(['started', 'before ', 'exit']);
  });

  test('for not reading, having dropped bytes, has the last word', async () => {
    const told = await begin();
    transport.last.say({ t: 'lagged', droppedBytes: 5, detached: true });
    await after(30_000);
    expect(told).toEqual(['started', 'before ', 'lagged', 'stream_lost']);
    expect(attaches()).toBe(0);
  });
});

describe('another life of the runner', () => {
  test('goes on with what its predecessor had begun', async () => {
    const told = await read('start');
    for (const event of [{ t: 'accepted' } as const, started]) transport.last.say(event);
    transport.boot = hex(16);
    await after(4_000);
    expect(attaches()).toBe(1);
    expect(transport.told.at(-1)).toMatchObject({ boot: transport.boot, header: { t: 'detach' } });
    for (const event of [{ t: 'accepted' } as const, started, exited(0)]) transport.last.say(event);
    expect(told).toEqual(['started', 'exit']);
  });

  test('may take a job that its predecessor left in the queue: not_started is said when it can’t any more', async () => {
    const told = await read('start');
    transport.boot = hex(16);
    await after(4_900);
    expect(told).toEqual([]);
    await after(2_100);
    expect(told).toEqual(['not_started']);
  });
});
