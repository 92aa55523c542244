import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { megabytesPerSecond, percentile, round, summarize } from '../../bench/statistics.ts';

const values = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 });

describe('percentile', () => {
  test('is one of the values, and that many do not exceed it', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 100 }), (list, percent) => {
        const found = percentile(list, percent);
        expect(list).toContain(found);
        expect(list.filter((value) => value <= found).length).toBeGreaterThanOrEqual((percent / 100) * list.length);
      }),
    );
  });

  test('does not depend on the order and leaves it alone', () => {
    const list = [5, 1, 4, 2, 3];
    expect(percentile(list, 50)).toBe(3);
    expect(list).toEqual([5, 1, 4, 2, 3]);
  });

  test('of nothing throws instead of giving a number', () => {
    expect(() => percentile([], 50)).toThrow('nothing');
  });
});

test('a summary of 1…100 is what nearest rank says', () => {
  expect(summarize(Array.from({ length: 100 }, (_, index) => index + 1))).toEqual({ p50: 50, p95: 95, p99: 99 });
});

test('rounding keeps three digits of what is small and the whole of what is large', () => {
  expect([0.12345, 12.345, 123.45, 12345.6].map(round)).toEqual([0.123, 12.3, 123, 12346]);
  expect(() => round(Number.NaN)).toThrow('no measurement');
});

test('a hundred million bytes in half a second are 200 MB/s', () => {
  expect(megabytesPerSecond(100_000_000, 500)).toBe(200);
});
