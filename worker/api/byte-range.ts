/** What a Range header asks for: a first byte (negative: counted from the end) and at most so many bytes. */
export interface ByteRange {
  rangeStart: number;
  rangeBytes?: number;
}

/**
 * One range as RFC 9110 section 14.1.2 has it. Undefined, which means the whole file, for anything else: other units, several
 * ranges, malformed text. `unsatisfiable` for the last zero bytes.
 */
export const parseRange = (header: string | undefined): ByteRange | 'unsatisfiable' | undefined => {
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? '');
  if (!match) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return undefined;
    return Number(last) === 0 ? 'unsatisfiable' : { rangeStart: -Number(last) };
  }
  if (last === '') return { rangeStart: Number(first) };
  return Number(last) < Number(first)
    ? undefined
    : { rangeStart: Number(first), rangeBytes: Number(last) - Number(first) + 1 };
};
