import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { outputText, PiecewiseText } from '../../worker/api/output-text.ts';

const pieces = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc.string({ unit: 'grapheme', maxLength: 4 }).map((text) => new TextEncoder().encode(text)),
    fc.constantFrom([0xe2], [0x82], [0xf0, 0x9f], [0x98, 0x80], [0xed, 0xa0]).map((bytes) => new Uint8Array(bytes)),
  ),
  { maxLength: 12 },
);

test('text that comes in pieces is the text of the whole, wherever it was cut, and at most three bytes are held', () => {
  fc.assert(
    fc.property(pieces, (parts) => {
      const text = new PiecewiseText('utf8');
      let out = '';
      for (const part of parts) {
        out += text.take(part);
        expect(text.heldBytes).toBeLessThanOrEqual(3);
      }
      expect(out + text.flush()).toBe(outputText(new Uint8Array(Buffer.concat(parts)), 'utf8'));
    }),
    { numRuns: 2000 },
  );
});

test('base64 is exact for every length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40_000 }), (bytes) => {
      expect(Buffer.from(outputText(bytes, 'base64'), 'base64').equals(bytes)).toBe(true);
    }),
    { numRuns: 50 },
  );
});
