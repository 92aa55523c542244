import { ServiceError } from '../errors.ts';
import type { ArtifactPlace } from './get-artifact.ts';

/** Of a full path, and of a directory. D1's LIKE and GLOB take 50 bytes at most, so prefixes are index ranges: see rangeOfPrefix. */
export const maxPathBytes = 1024;

const utf8 = new TextEncoder();
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * '/dir/sub/name' → {path: '/dir/sub/', name}; the two put together are the input again, byte for byte: nothing is normalised.
 * Empty segments are names like any other ('/a//b' is not '/a/b'), '.' and '..' are refused.
 */
export const parseArtifactPath = (fullPath: string): ArtifactPlace => {
  requirePath(fullPath);
  const nameFrom = fullPath.lastIndexOf('/') + 1;
  const name = fullPath.slice(nameFrom);
  if (name === '') throw invalid('The path of an artifact ends with its name, not with "/".');
  return { path: fullPath.slice(0, nameFrom), name };
};

/** For callers that have the directory and the name apart; a name with '/' is refused rather than split again. */
export const joinArtifactPath = (directory: string, name: string): ArtifactPlace => {
  if (name.includes('/')) throw invalid('An artifact\'s name can\'t contain "/".');
  return parseArtifactPath(parseDirectoryPath(directory) + name);
};

/** '/' or '/dir/sub/'. */
export const parseDirectoryPath = (path: string): string => {
  requirePath(path);
  if (!path.endsWith('/')) throw invalid('The path of a directory begins and ends with "/".');
  return path;
};

/** Whether a full path, or a directory, is the directory or below it. */
export const isInDirectory = (path: string, directory: string): boolean => path.startsWith(directory);

const requirePath = (path: string): void => {
  if (!path.startsWith('/')) throw invalid('A path begins with "/".');
  if (path.length > maxPathBytes || utf8.encode(path).byteLength > maxPathBytes) {
    throw invalid(`A path has at most ${maxPathBytes} bytes.`);
  }
  if (!path.isWellFormed()) throw invalid('The path is not well-formed Unicode.');
  if (control.test(path)) throw invalid(`A path can't contain control characters: ${JSON.stringify(path)}.`);
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) {
    throw invalid('A path can\'t contain the segments "." and "..".');
  }
};

const invalid = (sentence: string): ServiceError => new ServiceError('invalid_argument', sentence);

/**
 * The strings that begin with `prefix`, as `from <= s AND s < before` under SQLite's BINARY collation (absent: no upper bound).
 * That order is UTF-8's, which is the order of code points: a JavaScript `<` puts U+1F600 before U+FFFD, SQLite after.
 */
export const rangeOfPrefix = (prefix: string): { from: string; before?: string } => {
  const codePoints = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (codePoints.length > 0) {
    const last = codePoints.pop() ?? 0;
    if (last === 0x10ffff) continue;
    // The surrogates have no UTF-8.
    const next = last === 0xd7ff ? 0xe000 : last + 1;
    return { from: prefix, before: String.fromCodePoint(...codePoints, next) };
  }
  return { from: prefix };
};
