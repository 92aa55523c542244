import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readEvents, type ServerSentEvent } from '../../bench/server-sent-events.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

async function* split(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0;
  for (const cut of [...cuts.map((value) => value % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]) {
    yield bytes.subarray(from, cut);
    from = cut;
  }
}

const collect = async (bytes: Uint8Array, cuts: readonly number[] = []): Promise<ServerSentEvent[]> => {
  const events: ServerSentEvent[] = [];
  for await (const event of readEvents(split(bytes, cuts))) events.push(event);
  return events;
};

test('events are the same wherever the bytes are cut, inside of a character too', async () => {
  const text = 'event: stdout\nid: 7\ndata: {"data":"äöü €"}\n\n: keep-alive\n\nevent: exit\ndata: {}\n\n';
  const expected = [
    { event: 'stdout', id: '7', data: '{"data":"äöü €"}' },
    { event: 'exit', id: undefined, data: '{}' },
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { maxLength: 10 }), async (cuts) => {
      expect(await collect(encode(text), cuts)).toEqual(expected);
    }),
  );
});

test('a stream that is cut inside of an event throws', async () => {
  await expect(collect(encode('event: stdout\ndata: {"da'))).rejects.toThrow('cut inside');
});
