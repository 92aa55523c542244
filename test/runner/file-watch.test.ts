import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AgentSession, WatchSink } from '../../runner/agent/session.ts';
import { Conversation } from '../../runner/channels/conversations.ts';
import type { HandlerContext } from '../../runner/handlers/handler.ts';
import { watchFiles } from '../../runner/handlers/file-watch.ts';
import type { OutEvent } from '../../runner/protocol/channel.ts';
import { RunnerError } from '../../runner/protocol/errors.ts';
import type { JobData } from '../../runner/protocol/jobs.ts';
import type { LiveSandbox } from '../../runner/sandboxes/sandbox.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** A watch whose agent answers when told. */
function watchOf() {
  const opening = Promise.withResolvers<{ close(): void }>();
  const close = vi.fn<() => void>();
  const sinks: WatchSink[] = [];
  const watch: AgentSession['watch'] = (_request, sink) => {
    sinks.push(sink);
    return opening.promise;
  };
  const sandbox = { watches: 0, home: { session: { watch } } } as unknown as LiveSandbox;
  const events: OutEvent[] = [];
  const out = {
    id: 'c',
    open: true,
    send: (event: OutEvent) => void events.push(event),
    flush: () => undefined,
    close: () => undefined,
  };
  const conversation = new Conversation(out, () => undefined);
  const job = { watch: { path: '/w', user: 'user', recursive: false }, creditBytes: 1024 } as JobData<'file.watch'>;
  const over = watchFiles({} as HandlerContext, job, sandbox, conversation);
  over.catch(() => undefined);
  return { over, events, sandbox, conversation, sink: sinks[0], close, answer: () => opening.resolve({ close }) };
}

test('a watch that is lost ends with the reason, and gives its place back', async () => {
  const { over, events, sandbox, sink, answer } = watchOf();
  answer();
  await vi.waitFor(() => expect(events).toHaveLength(1));
  sink?.events([], 1);
  sink?.lost(new RunnerError('file_not_found', '/w: no such directory'));
  await expect(over).rejects.toMatchObject({ code: 'file_not_found' });
  expect(events.at(-1)).toEqual({ t: 'watch', events: [], droppedEvents: 1 });
  expect(sandbox.watches).toBe(0);
});

test('a watch whose reader has left is closed, whatever is said of it later', async () => {
  const { over, sandbox, conversation, sink, close, answer } = watchOf();
  answer();
  conversation.detach();
  await over;
  sink?.lost(new RunnerError('file_not_found', '/w: no such directory'));
  expect(close).toHaveBeenCalledTimes(1);
  expect(sandbox.watches).toBe(0);
});

test('one that opens too late is closed again', async () => {
  const { over, close, answer } = watchOf();
  await vi.advanceTimersByTimeAsync(10_000);
  await expect(over).rejects.toMatchObject({ code: 'agent_unavailable' });
  expect(close).not.toHaveBeenCalled();
  answer();
  await vi.waitFor(() => expect(close).toHaveBeenCalledTimes(1));
});
