import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Conversation } from '../../runner/channels/conversations.ts';
import type { OutEvent } from '../../runner/protocol/channel.ts';
import { RunnerError } from '../../runner/protocol/errors.ts';
import type { EndReason } from '../../runner/protocol/node-report.ts';
import type { ProcessExit } from '../../runner/protocol/process.ts';
import { RunningProcess } from '../../runner/sandboxes/running-process.ts';
import { SessionDouble } from './support/doubles.ts';
import { attachment, processSpec } from './support/harness.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const ended: ProcessExit = {
  exitCode: 0,
  signal: null,
  reason: 'exited',
  durationMs: 1,
  droppedStdoutBytes: 0,
  droppedStderrBytes: 0,
};
const kinds = (events: readonly { t: string }[]) => events.map(({ t }) => t);

interface Surroundings {
  foreground: number;
  atRest: boolean;
  endReason: EndReason | undefined;
  untold: boolean;
}

/** One process, as the runner's table has it, of an agent that is a double. */
async function startProcess(timeoutMs?: number) {
  const session = new SessionDouble();
  const { processId } = processSpec();
  await session.start(processSpec({ processId }), null);
  const exits: ProcessExit[] = [];
  const sandbox: Surroundings = { foreground: 0, atRest: false, endReason: undefined, untold: false };
  const running = new RunningProcess(
    { processId, timeoutMs },
    {
      session,
      oomKilled: async () => false,
      atRest: () => sandbox.atRest,
      endReason: () => sandbox.endReason,
      onExit: (exit) => exits.push(exit),
      onLeave: () => undefined,
      onForeground: (change) => (sandbox.foreground += change),
      onUntold: (_running, untold) => (sandbox.untold = untold),
    },
  );
  /** One that the agent has not answered yet. */
  const newReader = (attach = attachment, gone = false) => {
    const events: OutEvent[] = [];
    let open = true;
    const out = {
      id: 'c',
      get open() {
        return open;
      },
      send: (event: OutEvent) => void (open && events.push(event)),
      flush: () => undefined,
      close: () => void (open = false),
    };
    const conversation = new Conversation(out, () => undefined);
    if (gone) conversation.detach();
    const reader = running.reader(conversation, attach);
    let attached = true;
    const handle = { grant: () => undefined, detach: () => void (attached = false) };
    const begin = () => reader.begin(processId, 1, handle);
    return { events, conversation, reader, begin, attached: () => attached };
  };
  return { running, session, processId, exits, sandbox, newReader, sinks: session.get(processId).sinks };
}

describe('the rest of an ended process’s output', () => {
  /** Two readers, of which the first has heard of the end after seven bytes and the other has had four of them. */
  const oneBehind = async () => {
    const { running, newReader, sandbox } = await startProcess();
    const [quick, slow] = [newReader(), newReader()];
    for (const { begin, reader } of [quick, slow]) {
      begin();
      reader.data(1, 0, Buffer.from('four'));
    }
    quick.reader.data(1, 4, Buffer.from('all'));
    quick.reader.exit(ended, 7);
    expect(kinds(quick.events)).toEqual(['started', 'data', 'data', 'exit']);
    expect(kinds(slow.events)).toEqual(['started', 'data']);
    expect(sandbox.foreground).toBe(1);
    return { ...slow, running, sandbox };
  };
  const lost = [
    { t: 'lagged', droppedBytes: 3, detached: false },
    { t: 'exit', o: 7, exit: ended },
  ];

  test('is told as lost, with the end, once the agent has forgotten the process', async () => {
    const { events, sandbox } = await oneBehind();
    vi.advanceTimersByTime(39_999);
    expect(events).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(events.slice(2)).toEqual(lost);
    expect(sandbox.foreground).toBe(0);
  });

  test('is waited for through a time in which the sandbox stands still, not through its end', async () => {
    const { events, sandbox } = await oneBehind();
    vi.advanceTimersByTime(30_000);
    sandbox.atRest = true;
    vi.advanceTimersByTime(600_000);
    sandbox.atRest = false;
    vi.advanceTimersByTime(9_000);
    expect(events).toHaveLength(2);
    sandbox.atRest = true; // it is ending, and its engine is away
    sandbox.endReason = 'killed';
    vi.advanceTimersByTime(1_000);
    expect(events.slice(2)).toEqual(lost);
  });

  test('is told as lost at once where the agent is gone', async () => {
    const { events, reader, sandbox } = await oneBehind();
    reader.lost();
    expect(events.slice(2)).toEqual(lost);
    vi.advanceTimersByTime(60_000);
    expect(events).toHaveLength(4);
    expect(sandbox.foreground).toBe(0);
  });

  test('is told as lost at once where all of the sandbox is stopped, which knows until then that somebody is behind', async () => {
    const { events, running, sandbox } = await oneBehind();
    expect(sandbox.untold).toBe(true);
    running.stopped();
    expect(events.slice(2)).toEqual(lost);
    expect(sandbox).toMatchObject({ untold: false, foreground: 0 });
  });

  test('is told as lost once, whatever of it the agent has told already', async () => {
    const { events, reader } = await oneBehind();
    reader.lagged(2, false);
    reader.lost();
    expect(events.slice(3)).toEqual([{ t: 'lagged', droppedBytes: 1, detached: false }, lost[1]]);
  });

  test('is nobody’s once the reader has left', async () => {
    const { events, conversation, sandbox } = await oneBehind();
    conversation.detach();
    vi.advanceTimersByTime(60_000);
    expect(events).toHaveLength(2);
    expect(sandbox).toMatchObject({ untold: false, foreground: 0 });
  });

  test('comes after the deadline, too, to who had not granted what it takes', async () => {
    const { running, newReader } = await startProcess(1_000);
    const [starved, other] = [newReader({ ...attachment, creditBytes: 4 }), newReader()];
    running.started(1);
    for (const { begin, reader } of [starved, other]) {
      begin();
      reader.data(1, 0, Buffer.from('four'));
    }
    vi.advanceTimersByTime(3_000);
    expect(other.events.at(-1)).toMatchObject({ t: 'exit', o: 4, exit: { reason: 'deadline' } });
    expect(kinds(starved.events)).toEqual(['started', 'data']);
    starved.conversation.credit(10);
    starved.reader.data(1, 4, Buffer.from('all'));
    starved.reader.exit({ ...ended, exitCode: null, signal: 'SIGKILL', reason: 'signalled' }, 7);
    expect(starved.events.at(-1)).toMatchObject({ t: 'exit', o: 7, exit: { reason: 'deadline' } });
  });
});

describe('a reader whose caller has gone', () => {
  test.each([true, false])('before the agent has answered counts no longer (before it was asked: %s)', async (gone) => {
    const { running, newReader, sandbox, session } = await startProcess();
    const { conversation, begin, attached } = newReader(attachment, gone);
    conversation.detach();
    running.started(1);
    begin();
    expect([sandbox.foreground, attached()]).toEqual([0, false]);
    expect(session.attached).toBe(1); // the exit is listened for all the same
  });

  test('leaves one of the runner’s own, however often', async () => {
    const { running, newReader, session, exits, sinks } = await startProcess();
    running.started(1);
    for (let count = 0; count < 3; count++) {
      const { conversation, begin } = newReader();
      begin();
      conversation.detach();
    }
    expect([session.attached, sinks.size]).toEqual([1, 1]);
    for (const sink of sinks) sink.exit(ended, 0);
    expect(exits).toEqual([ended]);
  });
});

describe('while the agent can’t be asked', () => {
  test('nothing is taken for an end: it is asked again, and what then ends it is what is told', async () => {
    const { running, session, exits, sinks } = await startProcess();
    session.attachGate = Promise.reject(new RunnerError('agent_unavailable', 'The sandbox does not answer.'));
    running.rejoin();
    await vi.advanceTimersByTimeAsync(4_999);
    expect([session.attached, exits]).toEqual([1, []]);
    session.attachGate = Promise.resolve();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(session.attached).toBe(2);
    for (const sink of sinks) sink.exit({ ...ended, exitCode: 5 }, 0);
    expect(exits).toEqual([{ ...ended, exitCode: 5 }]);
  });

  test('as it stands still, it is not asked at all', async () => {
    const { running, session, sandbox } = await startProcess();
    sandbox.atRest = true;
    running.rejoin();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(session.attached).toBe(0);
    sandbox.atRest = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(session.attached).toBe(1);
  });

  test('a process that the agent no longer knows is over, its end unknown; who was attached hears it from the agent', async () => {
    const { running, session, newReader, processId, exits } = await startProcess();
    const { reader, begin, events } = newReader();
    begin();
    session.started.delete(processId);
    running.rejoin();
    await vi.advanceTimersByTimeAsync(0);
    expect(exits).toMatchObject([{ exitCode: null, signal: null, reason: 'exited' }]);
    reader.exit({ ...ended, exitCode: 5 }, 0);
    expect(events.at(-1)).toMatchObject({ t: 'exit', exit: { exitCode: 5 } });
  });

  test('a start that fails is told to all who had found the process', async () => {
    const { running, newReader, sandbox } = await startProcess();
    const [starter, other] = [newReader(), newReader()];
    running.abandon(starter.reader, new RunnerError('agent_unavailable', 'The sandbox does not answer.'));
    expect(starter.events).toEqual([]); // by who started it
    expect(other.events).toMatchObject([{ t: 'error', fault: { code: 'agent_unavailable' } }]);
    expect(sandbox.foreground).toBe(0);
  });
});
