import { invalidPattern } from './search-pattern.ts';

/** The inside of RE2's brackets for each of POSIX' classes, of Unicode as PostgreSQL's are under a UTF-8 locale. */
export const characterClasses = (ignoreCase: boolean): ReadonlyMap<string, string> =>
  ignoreCase ? foldedClasses : classes;

const alphabetic = '\\p{L}\\p{M}\\p{Nl}';
const graphic = '\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}';
const word = `${alphabetic}\\p{Nd}_`;
const space = '\\t-\\r\\x{85}\\p{Z}';

const classes: ReadonlyMap<string, string> = new Map([
  ['alpha', alphabetic],
  ['digit', '0-9'],
  ['alnum', `${alphabetic}\\p{Nd}`],
  ['upper', '\\p{Lu}'],
  ['lower', '\\p{Ll}'],
  ['space', space],
  ['blank', '\\t\\p{Zs}'],
  ['punct', '\\p{P}\\p{S}'],
  ['graph', graphic],
  ['print', `${graphic}\\p{Zs}`],
  ['cntrl', '\\p{Cc}'],
  ['xdigit', '0-9A-Fa-f'],
  ['ascii', '\\x00-\\x7f'],
  ['word', word],
]);

const foldedClasses: ReadonlyMap<string, string> = new Map([...classes, ['upper', alphabetic], ['lower', alphabetic]]);

export type AreEscape = { end: number } & ({ codePoint: number; text?: never } | { codePoint?: never; text: string });

/** `start` is after the backslash. A single character, or RE2's text for what stands for several or for none. */
export const areEscape = (source: string, start: number, { inBracket = false } = {}): AreEscape => {
  const codePoint = source.codePointAt(start);
  if (codePoint === undefined) throw invalidPattern('It ends with a backslash, which escapes nothing.');
  const character = String.fromCodePoint(codePoint);
  const end = start + character.length;
  const text = (inBracket ? bracketTexts : texts).get(character);
  if (text !== undefined) return { text, end };
  const control = controls.get(character);
  if (control !== undefined) return { codePoint: control, end };
  const coded = readCoded(source, start);
  if (coded) return coded;
  if (/[1-9]/.test(character)) throw invalidPattern('Back-references, as in "\\1", are not supported.');
  if (/[A-Za-z0-9]/.test(character))
    throw invalidPattern(`There is no escape "\\${character}"${inBracket ? ' in "[…]"' : ''}.`);
  return { codePoint, end };
};

const texts: ReadonlyMap<string, string> = new Map([
  ['d', '[0-9]'],
  ['D', '[^0-9]'],
  ['s', `[${space}]`],
  ['S', `[^${space}]`],
  ['w', `[${word}]`],
  ['W', `[^${word}]`],
  ['A', '\\A'],
  ['Z', '\\z'],
  ['m', '\\b'],
  ['M', '\\b'],
  ['y', '\\b'],
  ['b', '\\b'],
  ['Y', '\\B'],
  ['B', '\\B'],
]);

/** The negated ones by ASCII: RE2 has no negation inside brackets. '[\s\S]' is everything all the same. */
const bracketTexts: ReadonlyMap<string, string> = new Map([
  ['d', '0-9'],
  ['D', '\\D'],
  ['s', space],
  ['S', '\\S'],
  ['w', word],
  ['W', '\\W'],
]);

const controls: ReadonlyMap<string, number> = new Map([
  ['a', 0x07],
  ['b', 0x08],
  ['B', 0x5c],
  ['e', 0x1b],
  ['f', 0x0c],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
  ['v', 0x0b],
]);

/** \cX, \x…, \uXXXX, \UXXXXXXXX, \0, \0o and \0oo. */
const readCoded = (source: string, start: number): AreEscape | undefined => {
  const coded = /^(?:c([ -~])|x([\dA-Fa-f]+)|u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})|(0[0-7]{0,2}))/.exec(
    source.slice(start),
  );
  if (!coded) return undefined;
  const [whole, control, x, u, capitalU, octal] = coded;
  const codePoint =
    control !== undefined
      ? control.charCodeAt(0) & 0x1f
      : octal !== undefined
        ? Number.parseInt(octal, 8)
        : Number.parseInt(x ?? u ?? capitalU ?? '', 16);
  if (!(codePoint <= 0x10ffff) || (codePoint >= 0xd800 && codePoint <= 0xdfff)) {
    throw invalidPattern(`"\\${whole}" is not a character.`);
  }
  return { codePoint, end: start + whole.length };
};
