import { expect, test } from 'vitest';
import { ProcessEvents } from '../../worker/adapters/process-events.ts';
import { encodeEvent, encodeFailure } from '../../worker/durable/broker/event-frames.ts';

/** What a shard has said while its reader was busy: one chunk of the stream. */
const saidTogether = (...frames: Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    type: 'bytes',
    start: (controller) => controller.enqueue(new Uint8Array(Buffer.concat(frames))),
  });

const eventsOf = async (stream: ReadableStream<Uint8Array>): Promise<ProcessEvents> => {
  const events = new ProcessEvents({
    open: async () => stream,
    attach: async () => {
      throw new Error('a failure that was told is no loss on the way');
    },
    process: { processId: 'p' },
    attachment: { fromOffset: 0, creditBytes: 1024, foreground: true, output: true },
    starts: true,
    endsWhenStarted: false,
  });
  await events.open();
  return events;
};

const lost = { code: 'stream_lost', message: 'not read in time' } as const;
const lateReader = () =>
  eventsOf(
    saidTogether(
      encodeEvent({ t: 'data', fd: 1, o: 0 }, Buffer.from('last words')),
      encodeEvent({ t: 'lagged', droppedBytes: 5, detached: true }),
      encodeFailure(lost),
    ),
  );

test('what came before a failure is read before it, also where both come at once; then it stays failed', async () => {
  const events = await lateReader();
  const data = await events.next();
  expect(data?.t === 'data' && String(Buffer.from(data.bytes ?? []))).toBe('last words');
  expect(await events.next()).toEqual({ t: 'lagged', droppedBytes: 5, detached: true });
  await expect(events.next()).rejects.toMatchObject(lost);
  await expect(events.next()).rejects.toMatchObject(lost);
});

test('a reader that has cancelled is told of no failure any more', async () => {
  const events = await lateReader();
  await events.next();
  await events.next();
  await events.cancel();
  expect(await events.next()).toBeUndefined();
});
