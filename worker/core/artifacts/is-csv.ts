const quote = 0x22;
const comma = 0x2c;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * Whether quotes are used as RFC 4180 has them: around whole fields, doubled inside. How many fields a record has is free:
 * spreadsheets leave out the empty ones at the end.
 */
export const isCsv = (text: string): boolean => {
  for (let index = 0; index < text.length;) {
    if (text.charCodeAt(index) === quote) {
      index = endOfQuoted(text, index + 1);
      if (index === -1 || !endsField(text, index)) return false;
    } else {
      for (; index < text.length && !separates(text.charCodeAt(index)); index += 1) {
        if (text.charCodeAt(index) === quote) return false;
      }
    }
    // Past the separator; of CRLF, the CR was part of the field or let through by endsField.
    index += text.charCodeAt(index) === carriageReturn ? 2 : 1;
  }
  return true;
};

const separates = (character: number): boolean => character === comma || character === lineFeed;

/** After the closing quote; -1 where there is none. */
const endOfQuoted = (text: string, start: number): number => {
  for (let at = text.indexOf('"', start); at !== -1; at = text.indexOf('"', at + 2)) {
    if (text.charCodeAt(at + 1) !== quote) return at + 1;
  }
  return -1;
};

const endsField = (text: string, at: number): boolean =>
  at === text.length ||
  separates(text.charCodeAt(at)) ||
  (text.charCodeAt(at) === carriageReturn && (at + 1 === text.length || text.charCodeAt(at + 1) === lineFeed));
