import { expect, test } from 'vitest';
import { parseRange } from '../../worker/api/byte-range.ts';

test.each([
  ['bytes=0-0', { rangeStart: 0, rangeBytes: 1 }],
  ['bytes=10-19', { rangeStart: 10, rangeBytes: 10 }],
  ['BYTES=5-', { rangeStart: 5 }],
  ['bytes=-7', { rangeStart: -7 }],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=-', undefined],
  ['bytes=9-3', undefined],
  ['bytes=0-1,2-3', undefined],
  ['pages=1-2', undefined],
  [undefined, undefined],
])('%s', (header, range) => {
  expect(parseRange(header)).toEqual(range);
});
