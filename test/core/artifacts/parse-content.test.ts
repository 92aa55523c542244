import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isCsv } from '../../../worker/core/artifacts/is-csv.ts';
import { isJson } from '../../../worker/core/artifacts/is-json.ts';
import { contentKindOf, readContent } from '../../../worker/core/artifacts/parse-content.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each([
  ['a.json', 'text/plain', 'json'],
  ['a', 'application/json; charset=utf-8', 'json'],
  ['a.csv', 'application/json', 'json'],
  ['a.csv', 'text/plain', 'csv'],
  ['a', 'text/csv; charset=utf-8', 'csv'],
  ['a.py', 'application/octet-stream', 'code'],
  ['a.PY', 'text/plain', 'code'],
  ['.vue', 'text/plain', 'code'],
  ['a', 'text/x-python; charset=utf-8', 'code'],
  ['a.md', 'text/markdown', 'text'],
  ['a', 'text/anything', 'text'],
  ['a', 'application/x-yaml', 'text'],
  ['a.log', 'application/octet-stream', 'text'],
  ['a.css', 'text/css', 'text'],
  ['a.png', 'image/png', undefined],
  ['a', 'application/octet-stream', undefined],
  ['constructor', '', undefined],
])('%s of type %s is %s', (name, contentType, kind) => {
  expect(contentKindOf(name, contentType)).toBe(kind);
});

test('the whole text comes back, without its byte order mark', () => {
  for (const kind of ['text', 'code'] as const) {
    expect(readContent(kind, utf8('a\r\nb\n'))).toEqual({ type: kind, raw: 'a\r\nb\n' });
    expect(readContent(kind, utf8('\ufeffé'))).toEqual({ type: kind, raw: 'é' });
    expect(readContent(kind, utf8(''))).toEqual({ type: kind, raw: '' });
  }
  expect(readContent('json', utf8('\ufeff{"a": 1}\n'))).toEqual({ type: 'json', raw: '{"a": 1}\n' });
  expect(readContent('csv', utf8('\ufeff"a",b\n'))).toEqual({ type: 'csv', raw: '"a",b\n' });
});

test('what is not UTF-8 is not shown', () => {
  for (const kind of ['text', 'code', 'csv', 'json'] as const) {
    expect(readContent(kind, new Uint8Array([0x22, 0xe9, 0x22]))).toBeUndefined();
    expect(readContent(kind, new Uint8Array([0xc3]))).toBeUndefined();
  }
});

test('invalid JSON and CSV are not shown', () => {
  expect(readContent('json', utf8('{"a": }'))).toBeUndefined();
  expect(readContent('json', utf8(''))).toBeUndefined();
  expect(readContent('csv', utf8('a,"b\n'))).toBeUndefined();
});

const jsonParses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
};

test('JSON is what JSON.parse takes', () => {
  const piece = fc.oneof(
    fc.constantFrom('{', '}', '[', ']', ':', ',', '"', '"a"', '1', '-', '0', '.', 'e', 'E+', 'true', 'false', 'null'),
    fc.constantFrom(' ', '\n', '\\', '\\u00e9', '"\\u12', '"\\n"', '\u0000', '\u2028', 'é'),
  );
  const spoilt = fc
    .tuple(fc.jsonValue({ maxDepth: 3 }), fc.nat(), fc.nat({ max: 2 }), fc.string({ unit: piece, maxLength: 2 }))
    .map(([value, at, removed, added]) => {
      const text = JSON.stringify(value, undefined, at % 3);
      const from = at % (text.length + 1);
      return text.slice(0, from) + added + text.slice(from + removed);
    });
  const text = fc.oneof(fc.string({ unit: piece, maxLength: 8 }), fc.json(), spoilt);
  fc.assert(
    fc.property(text, (candidate) => {
      expect(isJson(candidate)).toBe(jsonParses(candidate));
    }),
    { numRuns: 10_000 },
  );
});

test('JSON nests 10,000 deep and no deeper', () => {
  expect(isJson(`${'['.repeat(10_001)}${']'.repeat(10_001)}`)).toBe(true);
  expect(isJson(`${'['.repeat(10_002)}${']'.repeat(10_002)}`)).toBe(false);
});

test.each([
  ['', true],
  ['a,b\n1,2\n', true],
  ['a,b\r\n"1","2"\r\n', true],
  ['a,b\n1\n\n1,2,3', true],
  ['"a ""quoted"" word, and\nlines",b', true],
  ['""', true],
  ['"",""', true],
  ['"a"\r', true],
  ['a "b" c', false],
  ['"a"b', false],
  ['"a" ,b', false],
  [' "a"', false],
  ['"a', false],
  ['"a""', false],
  ['"a"\rb', false],
])('%j as CSV: %j', (text, valid) => {
  expect(isCsv(text)).toBe(valid);
});

test('every table that is written by the rules is CSV', () => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é') });
  fc.assert(
    fc.property(fc.array(fc.array(field)), fc.constantFrom('\n', '\r\n'), (rows, newline) => {
      const text = rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')).join(newline);
      expect(isCsv(text)).toBe(true);
      expect(isCsv(`${text},"`)).toBe(false);
    }),
  );
});
