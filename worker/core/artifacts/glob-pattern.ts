import { RE2JS } from 're2js';
import { invalidPattern } from './search-pattern.ts';

/** A regular expression (RE2, '.' matches all) for a whole path. */
export interface TranslatedGlob {
  expression: string;
  literalPrefix: string;
}

/** SQL LIKE as the reference uses it, but for '_' and '%', which stand for themselves here. */
export const translateAcontextGlob = (pattern: string): TranslatedGlob => ({
  expression: pattern.replaceAll(/\*+|\?|[^*?]+/g, (part) =>
    part.startsWith('*') ? '.*' : part === '?' ? '.' : RE2JS.quote(part),
  ),
  literalPrefix: /^[^*?]*/.exec(pattern)?.[0] ?? '',
});

/** Deeper than a person writes, shallower than what RE2 refuses. */
const maxBraceDepth = 32;

/**
 * '**' is any number of whole segments where it stands as one ('/a/**' + '/b' has '/a/b' too), and any characters elsewhere.
 * A pattern without a leading '/' gets one: paths begin at the root.
 */
export const translateGlob = (pattern: string): TranslatedGlob => {
  const characters = Array.from(pattern.startsWith('/') ? pattern : `/${pattern}`);
  let expression = '';
  let literalPrefix = '';
  let onlyLiterals = true;
  let atSegmentStart = false;
  /** For each open brace, whether it stands at the start of a segment: its alternatives then do. */
  const braces: boolean[] = [];
  for (let index = 0; index < characters.length;) {
    const token = readToken(characters, index, { atSegmentStart, inBraces: braces.length > 0 });
    index = token.end;
    if ('literal' in token) {
      expression += RE2JS.quote(token.literal);
      if (onlyLiterals) literalPrefix += token.literal;
      atSegmentStart = token.literal === '/';
      continue;
    }
    onlyLiterals = false;
    expression += token.expression;
    if (token.expression === openBrace) {
      if (braces.length === maxBraceDepth) throw invalidPattern(`Braces nest at most ${maxBraceDepth} deep.`);
      braces.push(atSegmentStart);
    } else if (token.expression === '|') {
      atSegmentStart = braces.at(-1) ?? false;
    } else {
      if (token.expression === ')') braces.pop();
      atSegmentStart = token.expression === anySegments;
    }
  }
  if (braces.length > 0) throw invalidPattern('A "{" has no "}".');
  return { expression, literalPrefix };
};

const openBrace = '(?:';
const anySegments = '(?:.*/)?';

type Token = ({ literal: string } | { expression: string }) & { end: number };

const readToken = (
  characters: readonly string[],
  start: number,
  { atSegmentStart, inBraces }: { atSegmentStart: boolean; inBraces: boolean },
): Token => {
  const character = characters[start] ?? '';
  let end = start + 1;
  if (character === '*') {
    while (characters[end] === '*') end += 1;
    if (end === start + 1) return { expression: '[^/]*', end };
    const wholeSegment = atSegmentStart && characters[end] === '/';
    return wholeSegment ? { expression: anySegments, end: end + 1 } : { expression: '.*', end };
  }
  if (character === '?') return { expression: '[^/]', end };
  if (character === '[') return readSet(characters, end);
  if (character === '{') return { expression: openBrace, end };
  if (character === ',' && inBraces) return { expression: '|', end };
  if (character === '}' && inBraces) return { expression: ')', end };
  if (character !== '\\') return { literal: character, end };
  const escaped = characters[end];
  if (escaped === undefined) throw invalidPattern('It ends with "\\", which escapes nothing.');
  return { literal: escaped, end: end + 1 };
};

/** `start` is after the '['. A set never has '/', whatever it says. */
const readSet = (characters: readonly string[], start: number): Token => {
  let index = start;
  const negated = characters[index] === '!' || characters[index] === '^';
  if (negated) index += 1;
  const first = index;
  const ranges: string[] = [];
  const next = (): number => {
    if (characters[index] === '\\') index += 1;
    const codePoint = characters[index]?.codePointAt(0);
    if (codePoint === undefined) throw invalidPattern('A "[" has no "]".');
    index += 1;
    return codePoint;
  };
  while (index === first || characters[index] !== ']') {
    const from = next();
    let to = from;
    if (characters[index] === '-' && characters[index + 1] !== ']') {
      index += 1;
      to = next();
    }
    if (to < from) throw invalidPattern('A range in "[…]" runs backwards.');
    ranges.push(...withoutSlash(from, to));
  }
  const set = ranges.join('');
  // Empty: nothing but '/' was in it.
  const expression = negated ? `[^/${set}]` : set === '' ? '[^\\x{0}-\\x{10ffff}]' : `[${set}]`;
  return { expression, end: index + 1 };
};

const slash = 0x2f;

const withoutSlash = (from: number, to: number): string[] =>
  from <= slash && slash <= to
    ? [...(from < slash ? [range(from, slash - 1)] : []), ...(slash < to ? [range(slash + 1, to)] : [])]
    : [range(from, to)];

const range = (from: number, to: number): string => `\\x{${from.toString(16)}}-\\x{${to.toString(16)}}`;
