import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Conversation } from '../../runner/channels/conversations.ts';
import type { OutEvent } from '../../runner/protocol/channel.ts';
import { RunningProcess } from '../../runner/sandboxes/running-process.ts';
import { waitFor } from '../wait-for.ts';
import { SessionDouble } from './support/doubles.ts';
import type { Event } from './support/edge.ts';
import { attachment, processSpec, startHarness, type Harness } from './support/harness.ts';

const kinds = (events: readonly { t: string }[]) => events.map(({ t }) => t);
const textOf = (events: Event[]) => events.map(({ bytes }) => String(bytes ?? '')).join('');

describe('a process that ends before all of its readers have had its output', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness();
  });
  afterAll(() => harness.close());

  const start = async (attach: typeof attachment | null) => {
    const { edge } = harness;
    const { sandboxId, session } = await harness.create();
    const spec = processSpec();
    const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach });
    await edge.until(channel, (events) => events.some(({ t }) => t === 'started'));
    const attachAgain = () =>
      edge.deliver('process.attach', { sandboxId }, { process: { processId: spec.processId }, attach: attachment });
    return { edge, session, spec, channel, attachAgain };
  };

  test('one that was just attaching gets the output first, then the end', async () => {
    const { edge, session, spec, attachAgain } = await start(null);
    const { promise, resolve } = Promise.withResolvers<void>();
    session.attachGate = promise;
    const channel = await attachAgain();
    await waitFor('it to be asked for', () => session.get(spec.processId).sinks.size === 2, 5_000);
    session.end(spec.processId, { exitCode: 3 }, 4, 0); // who was there before hears of the end first
    session.say(spec.processId, 0, 'last');
    session.end(spec.processId, { exitCode: 3 }, 4, 1);
    resolve();
    const events = await edge.until(channel, (all) => all.at(-1)?.t === 'exit');
    expect(kinds(events)).toEqual(['accepted', 'started', 'data', 'exit']);
    expect(events.at(-1)).toMatchObject({ o: 4, exit: { exitCode: 3 } });
  });

  test('each is told after its own output, all of them the same', async () => {
    const { edge, session, spec, channel: quick, attachAgain } = await start(attachment);
    const slow = await attachAgain();
    await edge.until(slow, (events) => events.some(({ t }) => t === 'started'));
    session.say(spec.processId, 0, 'one ');
    session.say(spec.processId, 4, 'two', 1);
    session.end(spec.processId, { exitCode: 3 }, 7, 0);
    expect(textOf(await edge.until(quick, (events) => events.at(-1)?.t === 'exit'))).toBe('one two');
    const [, sink] = session.get(spec.processId).sinks;
    sink?.data(1, 4, Buffer.from('two'));
    session.end(spec.processId, { exitCode: 4 }, 7, 1); // the first word is the one that counts
    const events = await edge.until(slow, (all) => all.at(-1)?.t === 'exit');
    expect(textOf(events)).toBe('one two');
    expect(events.at(-1)).toMatchObject({ o: 7, exit: { exitCode: 3 } });
  });
});

describe('the rest that does not come', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Two readers, of which the first has heard of the end after seven bytes and the other has had four of them. */
  const oneBehind = () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let foreground = 0;
    const running = new RunningProcess(
      { processId: 'p' },
      {
        session: new SessionDouble(),
        oomKilled: async () => false,
        endReason: () => undefined,
        onExit: () => undefined,
        onLeave: () => undefined,
        onForeground: (change) => (foreground += change),
      },
    );
    const [quick, slow] = ['quick', 'slow'].map((id) => {
      const events: OutEvent[] = [];
      let open = true;
      const out = {
        id,
        get open() {
          return open;
        },
        send: (event: OutEvent) => void events.push(event),
        flush: () => undefined,
        close: () => void (open = false),
      };
      const conversation = new Conversation(out, () => undefined);
      const reader = running.reader(conversation, attachment);
      reader.begin('p', 1, { grant: () => undefined, detach: () => undefined });
      reader.data(1, 0, Buffer.from('four'));
      return { events, reader, conversation };
    });
    if (!quick || !slow) throw new Error('no readers');
    quick.reader.data(1, 4, Buffer.from('all'));
    const exit = { exitCode: 0, signal: null, reason: 'exited' } as const;
    quick.reader.exit({ ...exit, durationMs: 1, droppedStdoutBytes: 0, droppedStderrBytes: 0 }, 7);
    expect(kinds(quick.events)).toEqual(['started', 'data', 'data', 'exit']);
    expect(kinds(slow.events)).toEqual(['started', 'data']);
    expect(foreground).toBe(1);
    return { ...slow, foreground: () => foreground };
  };
  const ended = [
    { t: 'lagged', droppedBytes: 3, detached: false },
    { t: 'exit', o: 7, exit: expect.objectContaining({ exitCode: 0 }) },
  ];

  test('is told as lost, with the end, once the agent has forgotten the process', () => {
    const { events, foreground } = oneBehind();
    vi.advanceTimersByTime(39_999);
    expect(events).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(events.slice(2)).toEqual(ended);
    expect(foreground()).toBe(0);
  });

  test('… at once where the agent is gone', () => {
    const { events, reader, foreground } = oneBehind();
    reader.lost();
    expect(events.slice(2)).toEqual(ended);
    vi.advanceTimersByTime(60_000);
    expect(events).toHaveLength(4);
    expect(foreground()).toBe(0);
  });

  test('is nobody’s once the reader has left', () => {
    const { events, conversation, foreground } = oneBehind();
    conversation.detach();
    vi.advanceTimersByTime(60_000);
    expect(events).toHaveLength(2);
    expect(foreground()).toBe(0);
  });
});
