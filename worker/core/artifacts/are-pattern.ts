import { RE2JS } from 're2js';
import { areEscape, characterClasses, type AreEscape } from './are-escapes.ts';
import { invalidPattern } from './search-pattern.ts';

/** What an ARE's embedded options say; these are the defaults of PostgreSQL's `~*`. */
interface Options {
  ignoreCase: boolean;
  /** '.' and [^…] match line breaks. */
  dotMatchesNewline: boolean;
  /** '^' and '$' match at lines. */
  anchorsAtLines: boolean;
  /** White space and comments are not part of the pattern. */
  expanded: boolean;
  literal: boolean;
}

/**
 * A regular expression as PostgreSQL's `~*` takes it (an "advanced regular expression", of its manual's chapter on pattern matching),
 * spelt for RE2. Its semantics are kept with these exceptions:
 *  - look-around, back-references and the options (?b) and (?e) are refused;
 *  - word boundaries (\m \M \y, [[:<:]]) are RE2's \b: of ASCII words, and \m and \M are the same;
 *  - \b and \B are word boundaries also here, rather than a backspace and a backslash that nobody means.
 */
export const translateAre = (pattern: string): string => {
  const { options, rest } = readPrefix(pattern);
  const flags = `${options.ignoreCase ? 'i' : ''}${options.dotMatchesNewline ? 's' : ''}${options.anchorsAtLines ? 'm' : ''}`;
  const body = options.literal ? RE2JS.quote(rest) : translateBody(rest, options);
  return (flags === '' ? '' : `(?${flags})`) + body;
};

/** '***:' and '***=' choose the kind of expression, '(?xyz)' after that the options. */
const readPrefix = (pattern: string): { options: Options; rest: string } => {
  const options: Options = {
    ignoreCase: true,
    dotMatchesNewline: true,
    anchorsAtLines: false,
    expanded: false,
    literal: false,
  };
  if (pattern.startsWith('***=')) return { options: { ...options, literal: true }, rest: pattern.slice(4) };
  const rest = pattern.startsWith('***:') ? pattern.slice(4) : pattern;
  const embedded = /^\(\?([a-z]+)\)/.exec(rest);
  if (!embedded) return { options, rest };
  for (const letter of embedded[1] ?? '') {
    const change = embeddedOptions.get(letter);
    if (!change) throw invalidPattern(`The option "${letter}" in "${embedded[0]}" is not supported.`);
    Object.assign(options, change);
  }
  return { options, rest: rest.slice(embedded[0].length) };
};

const embeddedOptions: ReadonlyMap<string, Partial<Options>> = new Map([
  ['c', { ignoreCase: false }],
  ['i', { ignoreCase: true }],
  ['n', { dotMatchesNewline: false, anchorsAtLines: true }],
  ['m', { dotMatchesNewline: false, anchorsAtLines: true }],
  ['p', { dotMatchesNewline: false, anchorsAtLines: false }],
  ['w', { dotMatchesNewline: true, anchorsAtLines: true }],
  ['s', { dotMatchesNewline: true, anchorsAtLines: false }],
  ['x', { expanded: true }],
  ['t', { expanded: false }],
  ['q', { literal: true }],
]);

const translateBody = (source: string, options: Options): string => {
  let expression = '';
  for (let index = 0; index < source.length;) {
    const { text, end } = readAtom(source, index, options);
    expression += text;
    index = end;
  }
  return expression;
};

interface Read {
  text: string;
  end: number;
}

const readAtom = (source: string, start: number, options: Options): Read => {
  const character = String.fromCodePoint(source.codePointAt(start) ?? 0);
  const end = start + character.length;
  if (options.expanded) {
    const skipped = /^(?:\s+|#[^\n]*)/.exec(source.slice(start))?.[0];
    if (skipped !== undefined) return { text: '', end: start + skipped.length };
  }
  switch (character) {
    case '\\': {
      const escape = areEscape(source, end);
      return { text: escape.text ?? hex(escape.codePoint), end: escape.end };
    }
    case '[':
      return readBracket(source, end, options);
    case '(':
      return readParenthesis(source, end);
    case '{':
      return readBound(source, end);
    case '*':
    case '+':
    case '?':
    case '|':
    case ')':
    case '^':
    case '$':
    case '.':
      return { text: character, end };
    default:
      return { text: RE2JS.quote(character), end };
  }
};

/** Groups capture nothing: nobody asks for what they matched. */
const readParenthesis = (source: string, start: number): Read => {
  if (source[start] !== '?') return { text: '(?:', end: start };
  if (source[start + 1] === ':') return { text: '(?:', end: start + 2 };
  if (source[start + 1] === '#') {
    const close = source.indexOf(')', start);
    if (close === -1) throw invalidPattern('A comment "(?#" has no ")".');
    return { text: '', end: close + 1 };
  }
  if (/^\?<?[=!]/.test(source.slice(start))) throw invalidPattern('Look-around, as in "(?=…)", is not supported.');
  throw invalidPattern('Of the groups with "(?", there are "(?:…)", "(?#…)", and options at the start.');
};

/** PostgreSQL's own limit of a repetition. */
const maxRepeats = 255;

const readBound = (source: string, start: number): Read => {
  if (!/^\d/.test(source.slice(start))) return { text: '\\{', end: start };
  const bound = /^(\d+)(?:,(\d*))?\}/.exec(source.slice(start));
  if (!bound) throw invalidPattern('A repetition is {m}, {m,} or {m,n}.');
  const least = Number(bound[1]);
  const most = Number(bound[2] || bound[1]);
  if (least > maxRepeats || most > maxRepeats || most < least) {
    throw invalidPattern(`The numbers of a repetition go from 0 to ${maxRepeats}, the smaller one first.`);
  }
  return { text: `{${bound[0]}`, end: start + bound[0].length };
};

const readBracket = (source: string, start: number, options: Options): Read => {
  const boundary = /^\[:[<>]:\]\]/.exec(source.slice(start));
  if (boundary) return { text: '\\b', end: start + boundary[0].length };
  const negated = source[start] === '^';
  let index = negated ? start + 1 : start;
  const first = index;
  let set = '';
  while (index === first || source[index] !== ']') {
    const from = readBracketItem(source, index, options);
    index = from.end;
    if (source[index] === '-' && source[index + 1] !== ']') {
      const to = readBracketItem(source, index + 1, options);
      if (from.codePoint === undefined || to.codePoint === undefined || to.codePoint < from.codePoint) {
        throw invalidPattern('A range in "[…]" runs from one character to a later one.');
      }
      set += `${hex(from.codePoint)}-${hex(to.codePoint)}`;
      index = to.end;
    } else {
      set += from.text ?? hex(from.codePoint);
    }
  }
  const newline = negated && !options.dotMatchesNewline ? '\\n' : '';
  return { text: `[${negated ? '^' : ''}${set}${newline}]`, end: index + 1 };
};

const readBracketItem = (source: string, start: number, options: Options): AreEscape => {
  const codePoint = source.codePointAt(start);
  if (codePoint === undefined) throw invalidPattern('A "[" has no "]".');
  if (source[start] === '\\') return areEscape(source, start + 1, { inBracket: true });
  const named = /^\[([:.=])(.*?)\1\]/su.exec(source.slice(start));
  if (!named) return { codePoint, end: start + String.fromCodePoint(codePoint).length };
  const [whole, kind, name = ''] = named;
  const end = start + whole.length;
  if (kind === ':') {
    const text = characterClasses(options.ignoreCase).get(name);
    if (text === undefined) throw invalidPattern(`There is no character class "[:${name}:]".`);
    return { text, end };
  }
  // Collating elements and equivalence classes: of single characters, which stand for themselves.
  const only = name.codePointAt(0);
  if (only === undefined || String.fromCodePoint(only) !== name) throw invalidPattern(`"${whole}" is not supported.`);
  return { codePoint: only, end };
};

const hex = (codePoint: number): string => `\\x{${codePoint.toString(16)}}`;
