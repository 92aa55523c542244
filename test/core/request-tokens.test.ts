import { expect, test } from 'vitest';
import { RequestTokens } from '../../worker/adapters/request-tokens.ts';
import { TokenBuckets } from '../../worker/core/token-buckets.ts';

const ANSWER_MS = 2;

/** What the key's shard does, as far away as it is. */
const isolate = (buckets: TokenBuckets): RequestTokens =>
  new RequestTokens(async (_shard, keyId, perSecond, wanted) => {
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    return buckets.take(keyId, perSecond, wanted, Date.now());
  });

const takeAtOnce = async (tokens: RequestTokens, count: number, perSecond: number): Promise<number> => {
  const taken = await Promise.all(Array.from({ length: count }, () => tokens.take('key', perSecond)));
  return taken.filter(Boolean).length;
};

test('a key with room in its bucket is let through however many requests come at once', async () => {
  const tokens = isolate(new TokenBuckets(10));
  expect(await takeAtOnce(tokens, 500, 1_000)).toBe(500);
  expect(await takeAtOnce(tokens, 500, 1_000)).toBe(500);
});

test('no more than the bucket holds is let through, by one isolate or by several', async () => {
  const buckets = new TokenBuckets(10);
  const taken = await Promise.all([isolate(buckets), isolate(buckets)].map((tokens) => takeAtOnce(tokens, 100, 20)));
  // Two seconds' worth, and what came in while this ran.
  expect((taken[0] ?? 0) + (taken[1] ?? 0)).toBeLessThanOrEqual(42);
});
