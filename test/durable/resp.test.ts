import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeCommand,
  RedisRefusal,
  ReplyReader,
  type Argument,
  type Reply,
} from '../../worker/durable/broker/resp.ts';

const line = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', ':', '$', '*', '-', '+', '0', '7'), maxLength: 80 });
const { reply } = fc.letrec<{ reply: Reply; array: Reply[] }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    fc.maxSafeInteger(),
    fc.constant(null),
    line,
    line.map((text) => new RedisRefusal(text)),
    fc.uint8Array({ maxLength: 300 }),
    tie('array'),
  ),
  array: fc.array(tie('reply'), { maxLength: 6 }),
}));

const written = (value: Reply): Buffer => {
  if (value === null) return Buffer.from('$-1\r\n');
  if (typeof value === 'number') return Buffer.from(`:${value}\r\n`);
  if (typeof value === 'string') return Buffer.from(`+${value}\r\n`);
  if (value instanceof RedisRefusal) return Buffer.from(`-${value.message}\r\n`);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from(`*${value.length}\r\n`), ...value.map(written)]);
  return Buffer.concat([Buffer.from(`$${value.byteLength}\r\n`), value, Buffer.from('\r\n')]);
};

const read = (bytes: Buffer, sizes: Iterator<number>): Reply[] => {
  const replies: Reply[] = [];
  const reader = new ReplyReader((value) => replies.push(value));
  for (let at = 0; at < bytes.length;) {
    // One buffer for all that is read: what was given must not change with it.
    const chunk = Uint8Array.from(bytes.subarray(at, at + Number(sizes.next().value)));
    reader.push(chunk);
    at += chunk.length;
    chunk.fill(0xff);
  }
  return replies;
};

test('replies come out as Redis wrote them, wherever they are cut on the way', () => {
  fc.assert(
    fc.property(
      fc.array(reply, { maxLength: 8 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
      (replies, sizes) => {
        expect(read(Buffer.concat(replies.map(written)), sizes)).toEqual(replies);
      },
    ),
  );
});

test('a command is written as an array of its arguments, by their bytes', () => {
  const argument: fc.Arbitrary<Argument> = fc.oneof(fc.string({ unit: 'grapheme' }), fc.nat(), fc.uint8Array());
  fc.assert(
    fc.property(fc.array(argument, { minLength: 1 }), (args) => {
      const bytes = args.map((arg) => Uint8Array.from(arg instanceof Uint8Array ? arg : Buffer.from(String(arg))));
      expect(read(Buffer.from(encodeCommand(args)), [1e9][Symbol.iterator]())).toEqual([bytes]);
    }),
  );
});

test.each(['hello\r\n', '$x\r\n', ':1.5\r\n', '*9999999\r\n', `*1\r\n`.repeat(9), `+${'a'.repeat(70_000)}`])(
  'what is no RESP2, or larger than any answer, is refused: %.20j',
  (text) => {
    expect(() => read(Buffer.from(text), [1e9][Symbol.iterator]())).toThrow('Redis sent');
  },
);

test('a string that is too long is passed over and not held', () => {
  const long = Buffer.alloc(5 * 1024 * 1024);
  const replies = read(
    Buffer.concat([written([long, 1]), written('next')]),
    fc.sample(fc.constant(64 * 1024), 100)[Symbol.iterator](),
  );
  expect(replies).toEqual([[new Uint8Array(), 1], 'next']);
});
