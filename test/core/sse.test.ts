import { afterEach, expect, test, vi } from 'vitest';
import type { Feed } from '../../worker/core/feed.ts';
import { keepAliveMs, sseEvent, sseResponse, wantsEvents } from '../../worker/api/sse.ts';
import { feedOf } from './support/feed.ts';

afterEach(() => {
  vi.useRealTimers();
});

const renderer = {
  opening: '',
  render: (item: string) => (item === 'silent' ? '' : sseEvent('item', { item }, item.length)),
  failed: (error: unknown) => sseEvent('error', { message: String(error) }),
};

test('each item is one event with its id, and items without text are passed over', async () => {
  const response = sseResponse(feedOf(['a', 'silent', 'line\nbreak']), renderer);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  expect(await response.text()).toBe(
    'event: item\nid: 1\ndata: {"item":"a"}\n\nevent: item\nid: 10\ndata: {"item":"line\\nbreak"}\n\n',
  );
});

test('a source that fails ends the stream with an error event', async () => {
  const source = feedOf(['a'], new Error('cut'));
  expect(await sseResponse(source, renderer).text()).toContain('event: error\ndata: {"message":"Error: cut"}');
});

test('a client that goes away cancels the source', async () => {
  const source = feedOf(['a', 'a', 'a']);
  const reader = sseResponse(source, renderer).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  expect(source.cancelled).toBe(true);
});

test('a silent stream has a comment every 5 s, so that a client that has gone is noticed by then', async () => {
  vi.useFakeTimers();
  const silent: Feed<string> = { next: () => new Promise(() => undefined), cancel: async () => undefined };
  const reader = sseResponse(silent, renderer).body?.getReader();
  const first = reader?.read();
  expect(keepAliveMs).toBe(5_000);
  await vi.advanceTimersByTimeAsync(keepAliveMs);
  expect(new TextDecoder().decode((await first)?.value)).toBe(': keep-alive\n\n');
  await reader?.cancel();
  expect(vi.getTimerCount()).toBe(0);
});

test('a source is read no faster than its client reads', async () => {
  let produced = 0;
  const source: Feed<string> = {
    next: async () => {
      produced += 1;
      return 'a';
    },
    cancel: async () => undefined,
  };
  const reader = sseResponse(source, renderer).body?.getReader();
  await reader?.read();
  await new Promise((resolve) => setImmediate(resolve));
  expect(produced).toBeLessThanOrEqual(3);
  await reader?.cancel();
});

test('events are asked for by Accept, not by a wildcard', () => {
  expect(wantsEvents('text/event-stream')).toBe(true);
  expect(wantsEvents('application/json;q=0.5, text/event-stream;q=1')).toBe(true);
  expect(wantsEvents('*/*')).toBe(false);
  expect(wantsEvents(undefined)).toBe(false);
});
