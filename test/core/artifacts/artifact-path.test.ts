import { DatabaseSync } from 'node:sqlite';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  isInDirectory,
  joinArtifactPath,
  parseArtifactPath,
  parseDirectoryPath,
  rangeOfPrefix,
} from '../../../worker/core/artifacts/artifact-path.ts';
import { ServiceError } from '../../../worker/core/errors.ts';

const refused = { code: 'invalid_argument' };

/** Undefined where it is refused as it should be; any other error is a failure. */
const orRefused = <T>(parse: () => T): T | undefined => {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ServiceError && error.code === refused.code) return undefined;
    throw error;
  }
};

test.each([
  ['/a', { path: '/', name: 'a' }],
  ['/docs/sub/a b.txt', { path: '/docs/sub/', name: 'a b.txt' }],
  ['/a//b', { path: '/a//', name: 'b' }],
  ['//b', { path: '//', name: 'b' }],
  ['/.env', { path: '/', name: '.env' }],
  ['/...', { path: '/', name: '...' }],
  ['/a..b/c..', { path: '/a..b/', name: 'c..' }],
  ['/é/😀', { path: '/é/', name: '😀' }],
])('%j is split at its last slash', (fullPath, parts) => {
  expect(parseArtifactPath(fullPath)).toEqual(parts);
});

test.each([
  ['', 'relative'],
  ['a', 'relative'],
  ['a/b', 'relative'],
  ['/', 'no name'],
  ['/a/', 'no name'],
  ['/.', 'dot'],
  ['/..', 'dots'],
  ['/a/../b', 'dots inside'],
  ['/./b', 'dot inside'],
  ['/a\0/b', 'NUL in a directory'],
  ['/a\0b', 'NUL in the name'],
  ['/a\nb', 'a control character in the name'],
  ['/a\rb/c', 'a control character in a directory'],
  ['/a\u0085b', 'a C1 control character in the name'],
  ['/a\ud800', 'half a surrogate pair'],
  [`/${'a'.repeat(1024)}`, 'too long'],
  [`/${'é'.repeat(512)}`, 'too long in bytes'],
])('%j is refused: %s', (fullPath) => {
  expect(() => parseArtifactPath(fullPath)).toThrow(expect.objectContaining(refused));
});

test('1,024 bytes are the limit', () => {
  expect(parseArtifactPath(`/${'a'.repeat(1023)}`).name).toHaveLength(1023);
  expect(parseArtifactPath(`/${'é'.repeat(511)}a`).name).toHaveLength(512);
});

test('what is accepted comes back byte for byte, and never leads out of its directory', () => {
  const segment = fc.oneof(fc.string({ unit: 'binary', maxLength: 5 }), fc.constantFrom('', '.', '..', 'a', 'ünï'));
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
      const fullPath = `/${segments.join('/')}`;
      const parts = orRefused(() => parseArtifactPath(fullPath));
      if (parts === undefined) return;
      expect(parts.path + parts.name).toBe(fullPath);
      expect(parts.name).not.toContain('/');
      expect(parseDirectoryPath(parts.path)).toBe(parts.path);
      expect(joinArtifactPath(parts.path, parts.name)).toEqual(parts);
      expect(`${parts.path}${parts.name}/`.split('/')).not.toContain('..');
    }),
  );
});

test('a name brings no directory with it', () => {
  expect(() => joinArtifactPath('/a/', 'b/c')).toThrow(expect.objectContaining(refused));
  expect(() => joinArtifactPath('/a/', '..')).toThrow(expect.objectContaining(refused));
  expect(() => joinArtifactPath('/a/', '')).toThrow(expect.objectContaining(refused));
});

test('a directory has a slash at both ends', () => {
  expect(parseDirectoryPath('/')).toBe('/');
  expect(parseDirectoryPath('//a//')).toBe('//a//');
  for (const path of ['', 'a/', '/a', '/../', '/a/./'])
    expect(() => parseDirectoryPath(path)).toThrow(expect.objectContaining(refused));
});

test('a directory contains itself and what is below, not what only begins alike', () => {
  expect(isInDirectory('/docs/', '/docs/')).toBe(true);
  expect(isInDirectory('/docs/a/b', '/docs/')).toBe(true);
  expect(isInDirectory('/docs', '/docs/')).toBe(false);
  expect(isInDirectory('/docs2/a', '/docs/')).toBe(false);
  expect(isInDirectory('/docs2/a', '/')).toBe(true);
});

test('the range of a prefix holds in SQLite exactly the strings that begin with it', () => {
  const database = new DatabaseSync(':memory:');
  const inRange = database.prepare('SELECT ? >= ? AND (? IS NULL OR ? < ?) AS inside');
  const awkward = fc.constantFrom('a', 'b', '/', '\u007f', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}');
  const text = fc.string({
    unit: fc.oneof(awkward, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
    maxLength: 5,
  });
  fc.assert(
    fc.property(text, text, fc.boolean(), (prefix, other, extended) => {
      // node:sqlite, unlike D1, cuts a bound string at NUL.
      fc.pre(!prefix.includes('\0') && !other.includes('\0'));
      const subject = extended ? prefix + other : other;
      const { from, before = null } = rangeOfPrefix(prefix);
      const row = inRange.get(subject, from, before, subject, before);
      expect(row?.['inside']).toBe(subject.startsWith(prefix) ? 1 : 0);
    }),
    { numRuns: 2000 },
  );
  database.close();
});
