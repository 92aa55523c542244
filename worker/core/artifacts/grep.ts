import { RE2JS } from 're2js';
import { translateAre } from './are-pattern.ts';
import { compileRe2 } from './re2-program.ts';
import { invalidPattern, requirePattern } from './search-pattern.ts';

export interface GrepLine {
  /** From 1. */
  line: number;
  text: string;
}

export interface Grep {
  test(text: string): boolean;
  /** The first lines that match, each cut at maxLineChars (UTF-16 units), wherever in it the match is. */
  lines(text: string, maxLines: number, maxLineChars: number): GrepLine[];
  /** Of UTF-16 units: within this, the worst text keeps test() and lines() busy for about a second; they can't be interrupted. */
  maxTextChars: number;
}

export type GrepOptions = { flavour: 'native' | 'acontext'; ignoreCase?: boolean };

/** Characters × instructions of the program: measured at 10 to 18 ns each where RE2 has to follow every instruction. */
const maxSteps = 50e6;

/**
 * native: RE2's syntax, a match within one line, as grep's are; lines end with LF or CRLF.
 * acontext: PostgreSQL's `~*` over the whole text (see translateAre), never minding case; its `lines` are those that match alone.
 *
 * RE2 does not backtrack: time is proportional to the text for most patterns, to text × program at worst.
 */
export const compileGrep = (pattern: string, options: GrepOptions): Grep => {
  requirePattern(pattern);
  if (options.flavour === 'acontext') {
    const { find, programSize } = finderOf(pattern, true, () => compileRe2(translateAre(pattern), 0, pattern));
    return grepOf(find, find, programSize);
  }
  if (namesLineBreak(pattern))
    throw invalidPattern("A match lies within one line: the pattern can't contain a line break.");
  const { ignoreCase = false } = options;
  const flags = RE2JS.MULTILINE | (ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  const { find, programSize } = finderOf(pattern, ignoreCase, () => compileRe2(pattern, flags));
  // One pass over the whole text rules most texts out, unless '^' or \A means less there than in a line of its own.
  const worthLooking = /\\[Az]|\(\?[A-Za-z]*-/.test(pattern) ? () => true : find;
  const hasLine = (text: string): boolean => worthLooking(text) && !matchingLines(text, find).next().done;
  return grepOf((text) => hasLine(withLineFeeds(text)), find, programSize, worthLooking);
};

type Find = (text: string) => boolean;

const grepOf = (test: Find, matchesLine: Find, programSize: number, worthLooking: Find = () => true): Grep => ({
  test,
  maxTextChars: Math.floor(maxSteps / programSize),
  lines: (text, maxLines, maxLineChars) => {
    const unified = withLineFeeds(text);
    if (!worthLooking(unified)) return [];
    const found: GrepLine[] = [];
    for (const { line, text: content } of matchingLines(unified, matchesLine)) {
      if (found.length >= maxLines) break;
      found.push({ line, text: cut(content, maxLineChars) });
    }
    return found;
  },
});

/** Plain text is left to the platform, which finds it thirty times as fast as RE2 when case does not matter. */
const finderOf = (pattern: string, ignoreCase: boolean, compile: () => RE2JS): { find: Find; programSize: number } => {
  if (!/[\\^$.|?*+()[\]{}]/.test(pattern)) {
    if (!ignoreCase) return { find: (text) => text.includes(pattern), programSize: 1 };
    // "u" folds case by the same table of Unicode's as RE2.
    const literal = new RegExp(pattern, 'iu');
    return { find: (text) => literal.test(text), programSize: 1 };
  }
  const compiled = compile();
  return { find: (text) => compiled.test(text), programSize: compiled.programSize() };
};

function* matchingLines(text: string, matches: Find): Generator<GrepLine, undefined> {
  let line = 1;
  for (let start = 0; start < text.length; line += 1) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const content = text.slice(start, end);
    if (matches(content)) yield { line, text: content };
    start = end + 1;
  }
}

const withLineFeeds = (text: string): string => (text.includes('\r\n') ? text.replaceAll('\r\n', '\n') : text);

const cut = (text: string, maxChars: number): string => {
  if (text.length <= maxChars) return text;
  const splitsPair = /[\ud800-\udbff]/.test(text.charAt(maxChars - 1)) && /[\udc00-\udfff]/.test(text.charAt(maxChars));
  return text.slice(0, splitsPair ? maxChars - 1 : maxChars);
};

/** Outside of […], where '[^\n]' is harmless. */
const namesLineBreak = (pattern: string): boolean =>
  /\\n|\n/.test(pattern.replaceAll(/\\[^n]/gs, '').replaceAll(/\[\^?\]?[^\]]*\]/g, ''));
