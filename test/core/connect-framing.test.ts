import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { ByteSource } from '../../worker/core/formats/byte-source.ts';
import { timeoutMsOf } from '../../worker/dialects/e2b/envd/connect/call.ts';
import {
  encodeEnvelope,
  envelopeFlags,
  openEnvelope,
  openEnvelopes,
} from '../../worker/dialects/e2b/envd/connect/envelope.ts';
import { ConnectError } from '../../worker/dialects/e2b/envd/connect/failure.ts';
import { messageMaxBytes, messageOf, readBody } from '../../worker/dialects/e2b/envd/connect/message.ts';

const anything = z.unknown();
const messages = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean()));

/** A body that arrives in pieces, of unknown length. */
const requestOf = (chunks: readonly Uint8Array[]): Request => {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  return new Request('http://sandbox/', { method: 'POST', body, duplex: 'half' } as RequestInit);
};

const cutAt = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.slice(places[index], end));
};

test('a message arrives whole, wherever its envelope was cut on the way', async () => {
  await fc.assert(
    fc.asyncProperty(messages, fc.array(fc.nat(), { maxLength: 8 }), async (message, cuts) => {
      const envelope = encodeEnvelope(envelopeFlags.message, message);
      const body = await readBody(requestOf(cutAt(envelope, cuts)));
      expect(messageOf(anything, openEnvelope(body))).toEqual(message);
    }),
  );
});

const collect = async (chunks: readonly Uint8Array[]): Promise<unknown[]> => {
  const opened: unknown[] = [];
  const source = new ByteSource(new Blob(chunks.map((chunk) => chunk.slice())).stream());
  for await (const message of openEnvelopes(source, 10_000)) opened.push(messageOf(anything, message));
  return opened;
};

test('of many messages each arrives, in their order, wherever the stream was cut; one that breaks off in the middle is refused', async () => {
  const many = fc.array(messages, { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(many, fc.array(fc.nat(), { maxLength: 8 }), fc.nat(), async (sent, cuts, end) => {
      const bytes = Buffer.concat(sent.map((message) => encodeEnvelope(envelopeFlags.message, message)));
      expect(await collect(cutAt(bytes, cuts))).toEqual(sent);
      const lengths = sent.map((message) => encodeEnvelope(envelopeFlags.message, message).length);
      const places = new Set(lengths.map((_, at) => lengths.slice(0, at).reduce((sum, length) => sum + length, 0)));
      const brokenOff = end % (bytes.length + 1);
      const told = await collect([bytes.subarray(0, brokenOff)]).catch((error: unknown) => error);
      const whole = brokenOff === bytes.length || places.has(brokenOff);
      expect(told instanceof ConnectError).toBe(!whole);
    }),
  );
});

test('a message of a stream that says it is too long is refused before it is read', async () => {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(10_001, 1);
  await expect(collect([header])).rejects.toMatchObject({ code: 'resource_exhausted' });
});

test('half an envelope, one and a half, or nothing is refused', () => {
  fc.assert(
    fc.property(messages, fc.uint8Array({ minLength: 1 }), fc.nat(), (message, more, cut) => {
      const envelope = encodeEnvelope(envelopeFlags.message, message);
      const half = envelope.subarray(0, cut % envelope.length);
      for (const body of [half, Buffer.concat([envelope, more])]) {
        expect(() => openEnvelope(body)).toThrow(expect.objectContaining({ code: 'invalid_argument' }) as Error);
      }
    }),
  );
});

test('whatever the bytes are, they are a message or a refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
      expect(['message', 'invalid_argument', 'unimplemented']).toContain(outcomeOf(body));
    }),
  );
});

const outcomeOf = (body: Uint8Array): unknown => {
  try {
    messageOf(anything, openEnvelope(body));
    return 'message';
  } catch (error) {
    return error instanceof ConnectError ? error.code : error;
  }
};

test('compressed and final envelopes are told from messages', () => {
  const failing = (flags: number) => () => openEnvelope(encodeEnvelope(flags, {}));
  expect(failing(envelopeFlags.compressed)).toThrow(expect.objectContaining({ code: 'unimplemented' }) as Error);
  expect(failing(envelopeFlags.endOfStream)).toThrow(expect.objectContaining({ code: 'invalid_argument' }) as Error);
});

test('a body that is too long is not held, whether it says its length or not', async () => {
  const piece = new Uint8Array(1024 * 1024);
  const unsaid = requestOf(Array.from({ length: messageMaxBytes / piece.length + 1 }, () => piece));
  await expect(readBody(unsaid)).rejects.toMatchObject({ code: 'resource_exhausted' });
  const said = new Request('http://sandbox/', { method: 'POST', body: new Uint8Array(8), headers: {} });
  said.headers.set('content-length', String(messageMaxBytes + 1));
  await expect(readBody(said)).rejects.toMatchObject({ code: 'resource_exhausted' });
});

test('null is as good as absent, and an empty body an empty message', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect(messageOf(anything, bytes('{"a":null,"b":{"c":null,"d":"null"}}'))).toEqual({ b: { d: 'null' } });
  expect(messageOf(anything, bytes(''))).toEqual({});
  expect(() => messageOf(anything, bytes('{'))).toThrow('not JSON');
});

test.each([
  [undefined, undefined],
  ['', undefined],
  ['0', undefined],
  ['1', 1],
  ['60000', 60_000],
  ['9999999999', 24 * 24 * 3600 * 1000],
])('Connect-Timeout-Ms %s is %s', (header, timeoutMs) => {
  expect(timeoutMsOf(header)).toBe(timeoutMs);
});

test.each(['-1', '1.5', 'soon', '12345678901', '0x10', ' 5'])('Connect-Timeout-Ms %s is refused', (header) => {
  expect(() => timeoutMsOf(header)).toThrow(expect.objectContaining({ code: 'invalid_argument' }) as Error);
});
