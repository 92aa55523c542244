import { expect, test } from 'vitest';
import type { ProcessExit } from '../../runner/protocol/process.ts';
import type { StreamEvent } from '../../worker/core/ports.ts';
import { processEvents, type Audience } from '../../worker/dialects/e2b/envd/process/events.ts';
import { feedOf } from './support/feed.ts';

const exit = (fields: Partial<ProcessExit>): StreamEvent => ({
  t: 'exit',
  o: 0,
  exit: {
    exitCode: null,
    signal: null,
    reason: 'signalled',
    durationMs: 1,
    droppedStdoutBytes: 0,
    droppedStderrBytes: 0,
    ...fields,
  },
});

/** The messages that they become, and how the stream ends. */
const render = async (events: StreamEvent[], audience: Audience = 'subscriber') => {
  const feed = processEvents(feedOf(events), audience);
  const messages: unknown[] = [];
  try {
    for (let message = await feed.next(); message; message = await feed.next()) messages.push(message);
  } catch (error) {
    return { messages, code: (error as { code?: string }).code };
  }
  return { messages, code: undefined };
};

const signalled = (status: string) => ({ event: { end: { exitCode: -1, exited: false, status, error: status } } });

test.each([
  ['SIGKILL', 'signal: killed'],
  ['SIGTERM', 'signal: terminated'],
  ['SIGSEGV', 'signal: segmentation fault'],
  ['SIGINT', 'signal: interrupt'],
  ['SIGSTKFLT', 'signal: sigstkflt'],
])('an end by %s is told as Go tells it', async (signal, status) => {
  expect(await render([exit({ signal })])).toEqual({ messages: [signalled(status)], code: undefined });
});

test('a deadline is the starter’s; to anybody else it was a kill', async () => {
  const late = exit({ signal: 'SIGKILL', reason: 'deadline' });
  expect(await render([late], 'starter')).toEqual({ messages: [], code: 'deadline_exceeded' });
  expect(await render([late], 'subscriber')).toEqual({ messages: [signalled('signal: killed')], code: undefined });
});

test('the sandbox’s end is no end of the process’s own; a kill for memory in one that lives on is', async () => {
  expect(await render([exit({ signal: 'SIGKILL', reason: 'sandbox_ended' })])).toEqual({
    messages: [],
    code: 'sandbox_ended',
  });
  const oom = { signal: 'SIGKILL', reason: 'oom' } as const;
  expect(await render([exit({ ...oom, sandboxEndReason: 'oom' })])).toEqual({ messages: [], code: 'sandbox_ended' });
  expect(await render([exit(oom)])).toEqual({ messages: [signalled('signal: killed')], code: undefined });
});

test('output that was missed is told, not passed over', async () => {
  const bytes = new TextEncoder().encode('a');
  const events: StreamEvent[] = [
    { t: 'data', fd: 0, o: 0, bytes },
    { t: 'lagged', droppedBytes: 5, detached: false },
    { t: 'data', fd: 0, o: 6, bytes },
  ];
  expect(await render(events)).toEqual({ messages: [{ event: { data: { pty: 'YQ==' } } }], code: 'data_loss' });
});
