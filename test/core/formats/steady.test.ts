import { expect, test } from 'vitest';
import { ServiceError } from '../../../worker/core/errors.ts';
import { steady } from '../../../worker/core/formats/steady.ts';

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function* chunks(bytes: readonly number[], everyMs: number, onReturn?: () => void) {
  try {
    for (const size of bytes) {
      await delay(everyMs);
      yield new Uint8Array(size);
    }
  } finally {
    onReturn?.();
  }
}

const total = async (source: AsyncIterable<Uint8Array>, eachMs = 0): Promise<number> => {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (eachMs > 0) await delay(eachMs);
  }
  return bytes;
};

test('what keeps the pace comes whole, however long its reader takes', async () => {
  const pace = { bytes: 10, withinMs: 200 };
  expect(await total(steady(chunks([10, 10, 10, 3], 1), pace), 150)).toBe(33);
  expect(await total(steady(chunks([], 1), pace))).toBe(0);
});

test('a body that stands still, and one that drips, are refused as the client’s fault', async () => {
  const pace = { bytes: 100, withinMs: 60 };
  const silent = total(steady(chunks([50, 1], 100_000), pace));
  await expect(silent).rejects.toThrow(ServiceError);
  await expect(silent).rejects.toMatchObject({ code: 'invalid_argument' });
  const dripping = total(
    steady(
      chunks(
        Array.from({ length: 1000 }, () => 1),
        10,
      ),
      pace,
    ),
  );
  await expect(dripping).rejects.toThrow(/stood still/);
});

test('a read that fails is a body that was cut', async () => {
  async function* cut() {
    yield new Uint8Array(5);
    throw new TypeError('connection lost');
  }
  await expect(total(steady(cut(), { bytes: 1, withinMs: 1000 }))).rejects.toMatchObject({
    code: 'invalid_argument',
    message: 'The body was cut before its end.',
  });
});

test('a reader that gives up early lets go of the source', async () => {
  let released = false;
  const source = steady(
    chunks([1, 1, 1], 1, () => (released = true)),
    { bytes: 1, withinMs: 1000 },
  );
  for await (const _ of source) break;
  expect(released).toBe(true);
});
