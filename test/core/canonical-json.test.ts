import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalHash, canonicalJson } from '../../worker/core/sandboxes/idempotency.ts';

const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, reversed(member)]),
  );
};

test('the order of keys makes no difference, everything else does', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      expect(canonicalJson(reversed(one))).toBe(canonicalJson(one));
      const same = canonicalJson(one) === canonicalJson(other);
      expect(same).toBe(canonicalJson(JSON.parse(canonicalJson(one))) === canonicalJson(other));
    }),
  );
  expect(canonicalJson({ a: 1, b: [1, 2] })).not.toBe(canonicalJson({ a: 1, b: [2, 1] }));
});

test('an absent member and an undefined one hash alike', async () => {
  expect(await canonicalHash({ a: 1, b: undefined })).toBe(await canonicalHash({ a: 1 }));
  expect(await canonicalHash({ a: 1 })).toMatch(/^[0-9a-f]{64}$/);
});
