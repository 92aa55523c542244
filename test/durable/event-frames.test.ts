import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeEvent,
  encodeFailure,
  FrameDecoder,
  signOfLife,
  type Frame,
} from '../../worker/durable/broker/event-frames.ts';

const data = fc.record({
  t: fc.constant('data' as const),
  fd: fc.constantFrom(0 as const, 1 as const, 2 as const),
  o: fc.nat(),
});
const event = fc.record({
  event: data,
  bytes: fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 }), { nil: undefined }),
});

const concat = (parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

test('events come out as they went in, wherever the stream is cut into chunks', () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 20 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 100 })),
      (events, sizes) => {
        const whole = concat(events.flatMap((entry) => [encodeEvent(entry.event, entry.bytes), signOfLife()]));
        const decoder = new FrameDecoder();
        const frames: Frame[] = [];
        for (let start = 0; start < whole.byteLength;) {
          const end = start + sizes.next().value;
          frames.push(...decoder.push(whole.slice(start, end)));
          start = end;
        }
        const expected = events.map(({ event: header, bytes }) => ({
          kind: 'event',
          event: bytes ? { ...header, bytes } : header,
        }));
        expect(frames).toEqual(expected);
        expect(decoder.complete).toBe(true);
      },
    ),
  );
});

test('a failure keeps its code and its message', () => {
  const failure = { code: 'stream_lost', message: 'lost' } as const;
  expect(new FrameDecoder().push(encodeFailure(failure))).toEqual([{ kind: 'failure', failure }]);
});

test('a frame that claims to be larger than any is refused before it is gathered', () => {
  const frame = new Uint8Array(8).fill(0xff);
  expect(() => new FrameDecoder().push(frame)).toThrow('too large');
});
