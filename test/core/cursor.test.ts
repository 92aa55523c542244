import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCursor, encodeCursor } from '../../worker/core/cursor.ts';
import { ServiceError } from '../../worker/core/errors.ts';

test('a cursor comes back as it was', () => {
  fc.assert(
    fc.property(fc.nat(), fc.string({ unit: 'binary' }), (atMs, id) => {
      const cursor = encodeCursor([atMs, id]);
      expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(decodeCursor(cursor, ['number', 'string'])).toEqual([atMs, id]);
    }),
  );
});

test('anything else is refused as the caller’s mistake', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String(),
        fc.json().map((json) => encodeCursor([json])),
      ),
      (text) => {
        let thrown: unknown;
        try {
          decodeCursor(text, ['number', 'string']);
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBeInstanceOf(ServiceError);
        expect((thrown as ServiceError).code).toBe('invalid_argument');
      },
    ),
  );
});
