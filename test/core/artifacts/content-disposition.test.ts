import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attachmentNamed } from '../../../worker/core/artifacts/content-disposition.ts';

test('a name is told plainly and as RFC 8187 writes it', () => {
  expect(attachmentNamed('report.csv')).toBe(`attachment; filename="report.csv"; filename*=UTF-8''report.csv`);
  expect(attachmentNamed('t é.txt')).toBe(`attachment; filename="t _.txt"; filename*=UTF-8''t%20%C3%A9.txt`);
  expect(attachmentNamed(`a"b\\'%41\r\nx: y`)).toBe(
    `attachment; filename="a_b_'_41__x: y"; filename*=UTF-8''a%22b%5C%27%2541%0D%0Ax%3A%20y`,
  );
});

test('no name, whatever is in it, gets out of its quotes, and the long form gives it back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      const match = /^attachment; filename="([\u0020-\u007e]*)"; filename\*=UTF-8''([A-Za-z0-9%._~!-]*)$/.exec(
        attachmentNamed(name),
      );
      const [, plain = '"', long = ''] = match ?? [];
      expect(plain).not.toMatch(/["\\%]/);
      expect(decodeURIComponent(long)).toBe(name.toWellFormed());
    }),
  );
});
