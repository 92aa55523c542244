import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frameBytes, seal, sealKeyBytes, unseal } from '../../runner/snapshots/seal.ts';

const key = randomBytes(sealKeyBytes);
const sealedFrameBytes = frameBytes + 16;
const headBytes = 24;

async function* chunked(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const collect = async (source: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
};

const sealed = (content: Uint8Array, own = key): Promise<Buffer> =>
  collect(seal(own, chunked(content, [content.length || 1])));
const opened = (bytes: Uint8Array, own = key): Promise<Buffer> =>
  collect(unseal(own, chunked(bytes, [bytes.length || 1])));
const refused = { code: 'snapshot_corrupt' };

/** Around the frames' borders, where mistakes live. */
const lengths = [0, 1, frameBytes - 1, frameBytes, frameBytes + 1, 3 * frameBytes, 3 * frameBytes + 77];
const contents = new Map(lengths.map((length) => [length, randomBytes(length)]));
const content = fc.constantFrom(...contents.values());
const chunkSizes = fc.array(fc.integer({ min: 1, max: 2 * frameBytes }), { minLength: 1, maxLength: 5 });

test('what was sealed opens as it was, in whatever pieces it comes', async () => {
  await fc.assert(
    fc.asyncProperty(content, chunkSizes, chunkSizes, async (bytes, writing, reading) => {
      const closed = await collect(seal(key, chunked(bytes, writing)));
      expect(await collect(unseal(key, chunked(closed, reading)))).toEqual(bytes);
    }),
    { numRuns: 40 },
  );
});

test('cut anywhere, it is refused', async () => {
  await fc.assert(
    fc.asyncProperty(content, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), async (bytes, share) => {
      const closed = await sealed(bytes);
      await expect(opened(closed.subarray(0, Math.floor(share * closed.length)))).rejects.toMatchObject(refused);
    }),
    { numRuns: 60 },
  );
  // At the end of each frame, too: the one before the last is not the last.
  const closed = await sealed(contents.get(3 * frameBytes) ?? Buffer.alloc(0));
  for (let end = headBytes; end < closed.length; end += sealedFrameBytes) {
    await expect(opened(closed.subarray(0, end))).rejects.toMatchObject(refused);
  }
});

test('with any bit flipped, it is refused', async () => {
  await fc.assert(
    fc.asyncProperty(content, fc.nat(), fc.integer({ min: 0, max: 7 }), async (bytes, where, bit) => {
      const closed = await sealed(bytes);
      const at = where % closed.length;
      closed[at] = (closed[at] ?? 0) ^ (1 << bit);
      await expect(opened(closed)).rejects.toMatchObject(refused);
    }),
    { numRuns: 60 },
  );
});

test('with frames exchanged, repeated, left out or added, it is refused', async () => {
  const closed = await sealed(contents.get(3 * frameBytes + 77) ?? Buffer.alloc(0));
  const head = closed.subarray(0, headBytes);
  const frames = Array.from({ length: 4 }, (_, at) =>
    closed.subarray(headBytes + at * sealedFrameBytes, headBytes + (at + 1) * sealedFrameBytes),
  );
  const order = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(order, async (numbers) => {
      fc.pre(numbers.join() !== '0,1,2,3');
      const changed = Buffer.concat([head, ...numbers.map((number) => frames[number] ?? Buffer.alloc(0))]);
      await expect(opened(changed)).rejects.toMatchObject(refused);
    }),
    { numRuns: 60 },
  );
  await expect(opened(Buffer.concat([closed, Buffer.from('x')]))).rejects.toMatchObject(refused);
});

test('with frames of another stream under the same key, it is refused', async () => {
  const bytes = contents.get(3 * frameBytes) ?? Buffer.alloc(0);
  const [one, other] = await Promise.all([sealed(bytes), sealed(bytes)]);
  expect(one.equals(other)).toBe(false);
  const at = headBytes + sealedFrameBytes;
  const mixed = Buffer.concat([
    one.subarray(0, at),
    other.subarray(at, at + sealedFrameBytes),
    one.subarray(at + sealedFrameBytes),
  ]);
  await expect(opened(mixed)).rejects.toMatchObject(refused);
});

test('with another key, it is refused', async () => {
  await expect(opened(await sealed(Buffer.from('secret')), randomBytes(sealKeyBytes))).rejects.toMatchObject(refused);
});

test('nothing of the content shows', async () => {
  const closed = await sealed(Buffer.from('a word that would be found '.repeat(1000)));
  expect(closed.includes('would be found')).toBe(false);
});

test('a source that fails is told as it failed, and its end never looks like the stream’s', async () => {
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield randomBytes(2 * frameBytes);
    throw new Error('the disk is gone');
  };
  const seen: Buffer[] = [];
  await expect(
    (async () => {
      for await (const part of seal(key, failing())) seen.push(part);
    })(),
  ).rejects.toThrow('the disk is gone');
  await expect(opened(Buffer.concat(seen))).rejects.toMatchObject(refused);
});
