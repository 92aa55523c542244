/** As Go's encoding/json has it, which Acontext reads with. */
const maxDepth = 10_000;

/**
 * Whether the text is JSON (RFC 8259), as JSON.parse would say, without the values: a text of 16 MiB can be eight million
 * arrays, and an isolate has 128 MB for all its requests.
 */
export const isJson = (text: string): boolean => {
  /** The closing brackets that are due. */
  const due: string[] = [];
  let index = skipSpace(text, 0);
  for (;;) {
    // At a value.
    const opening = text[index];
    if (opening === '[' || opening === '{') {
      const closing = opening === '[' ? ']' : '}';
      index = skipSpace(text, index + 1);
      if (text[index] === closing) {
        index += 1;
      } else {
        if (due.length === maxDepth) return false;
        due.push(closing);
        if (closing === '}') index = endOfKey(text, index);
        if (index === -1) return false;
        continue;
      }
    } else {
      index = endOfScalar(text, index);
      if (index === -1) return false;
    }
    // After a value: close what ends here, then another member or the end.
    index = skipSpace(text, index);
    while (due.length > 0 && text[index] === due.at(-1)) {
      due.pop();
      index = skipSpace(text, index + 1);
    }
    if (due.length === 0) return index === text.length;
    if (text[index] !== ',') return false;
    index = skipSpace(text, index + 1);
    if (due.at(-1) === '}') index = endOfKey(text, index);
    if (index === -1) return false;
  }
};

const skipSpace = (text: string, start: number): number => {
  let index = start;
  for (; ; index += 1) {
    const character = text.charCodeAt(index);
    if (character !== 0x20 && character !== 0x0a && character !== 0x0d && character !== 0x09) return index;
  }
};

/** Of '"key" :', and the space after it, where its value begins; -1 where there is none. */
const endOfKey = (text: string, start: number): number => {
  if (text[start] !== '"') return -1;
  const end = endOfString(text, start + 1);
  if (end === -1) return -1;
  const colon = skipSpace(text, end);
  return text[colon] === ':' ? skipSpace(text, colon + 1) : -1;
};

const endOfScalar = (text: string, start: number): number => {
  if (text[start] === '"') return endOfString(text, start + 1);
  for (const word of ['true', 'false', 'null']) if (text.startsWith(word, start)) return start + word.length;
  return endOfNumber(text, start);
};

const endOfNumber = (text: string, start: number): number => {
  let index = text[start] === '-' ? start + 1 : start;
  index = text[index] === '0' ? index + 1 : endOfDigits(text, index);
  if (index !== -1 && text[index] === '.') index = endOfDigits(text, index + 1);
  if (index === -1 || (text[index] !== 'e' && text[index] !== 'E')) return index;
  const signed = text[index + 1] === '+' || text[index + 1] === '-';
  return endOfDigits(text, signed ? index + 2 : index + 1);
};

/** Of one digit or more; -1 where there is none. */
const endOfDigits = (text: string, start: number): number => {
  let index = start;
  while (isDigit(text.charCodeAt(index))) index += 1;
  return index === start ? -1 : index;
};

const isDigit = (character: number): boolean => character >= 0x30 && character <= 0x39;

/** After the closing quote; -1 where the string is none. */
const endOfString = (text: string, start: number): number => {
  let index = start;
  for (;;) {
    const character = text.charCodeAt(index);
    if (character === 0x22) return index + 1;
    // NaN, past the end, is not at least 0x20 either.
    if (!(character >= 0x20)) return -1;
    index += character === 0x5c ? lengthOfEscape(text, index) : 1;
    if (index < start) return -1;
  }
};

/** Backslash included; -Infinity where it is none. */
const lengthOfEscape = (text: string, start: number): number => {
  const kind = text[start + 1] ?? '';
  if (kind === 'u') return /^[\dA-Fa-f]{4}$/.test(text.slice(start + 2, start + 6)) ? 6 : -Infinity;
  return kind !== '' && '"\\/bfnrt'.includes(kind) ? 2 : -Infinity;
};
