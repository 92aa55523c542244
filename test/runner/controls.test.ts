import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Conversation } from '../../runner/channels/conversations.ts';
import { Controls } from '../../runner/handlers/control.ts';
import type { HandlerContext } from '../../runner/handlers/handler.ts';
import type { InHeader, OutEvent } from '../../runner/protocol/channel.ts';
import { limits } from '../../runner/protocol/limits.ts';
import type { ProcessInfo } from '../../runner/protocol/process.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const processId = 'ab'.repeat(16);
const info = { processId, pid: 7, exit: null } as ProcessInfo;

/** One control of stdin, to a sandbox whose agent answers as told. */
function write(knows: boolean) {
  const list = Promise.withResolvers<ProcessInfo[]>();
  const taken = Promise.withResolvers<void>();
  const writeStdin = vi.fn<() => Promise<void>>(() => taken.promise);
  const sandbox = {
    state: 'running',
    processes: new Map(knows ? [[processId, { processId, pid: 7 }]] : []),
    home: { session: { list: () => list.promise, writeStdin } },
  };
  const events: OutEvent[] = [];
  const out = {
    id: 'c',
    open: true,
    send: (event: OutEvent) => void events.push(event),
    flush: () => undefined,
    close: () => undefined,
  };
  const controls = new Controls({
    conversations: { open: () => new Conversation(out, () => undefined) },
    redisNowMs: () => 0,
    sandboxes: { getLive: () => sandbox, touch: () => undefined },
    log: { warn: () => undefined, error: () => undefined },
  } as unknown as HandlerContext);
  const target = { sandboxId: 's', epoch: 1, process: { pid: 7 } };
  const control = { c: 'c', t: 'control', out: 'o', requestId: 'r', startByMs: 1, target, command: { op: 'stdin' } };
  controls.take(control as Extract<InHeader, { t: 'control' }>, Buffer.from('bytes'));
  return { events, writeStdin, list, taken };
}

test('input has longer to be answered than the agent gives it, and is in doubt then', async () => {
  const { events, writeStdin } = write(true);
  expect(writeStdin).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(limits.stdinAnswerMs - 1);
  expect(events).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(events).toEqual([{ t: 'error', fault: expect.objectContaining({ code: 'transfer_failed' }) }]);
  expect(limits.stdinAnswerMs).toBeGreaterThan(limits.stdinWaitMs + 5_000);
});

test('input of which the process was found too late is not written any more', async () => {
  const { events, writeStdin, list } = write(false);
  await vi.advanceTimersByTimeAsync(limits.stdinAnswerMs);
  expect(events).toHaveLength(1);
  list.resolve([info]);
  await vi.advanceTimersByTimeAsync(0);
  expect(writeStdin).not.toHaveBeenCalled();
});

test('… and else it is', async () => {
  const { events, writeStdin, list, taken } = write(false);
  list.resolve([info]);
  taken.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect(writeStdin).toHaveBeenCalledTimes(1);
  expect(events).toEqual([{ t: 'result', value: {} }]);
});
