import type { Precondition } from '../core/artifacts/precondition.ts';
import { ServiceError } from '../core/errors.ts';

const tagsCount = 64;
const tag = /^(W\/)?"([\x21\x23-\x7e]{0,128})"$/;

/** If-Match and If-None-Match of a request that writes (RFC 9110 section 13.1). Throws invalid_argument. */
export const preconditionOf = (headers: {
  'if-match'?: string | undefined;
  'if-none-match'?: string | undefined;
}): Precondition | undefined => {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match !== undefined && noneMatch !== undefined) {
    throw new ServiceError('invalid_argument', 'Send If-Match or If-None-Match, not both.');
  }
  // If-Match compares strongly, so that a weak tag is nobody's; If-None-Match takes it for the strong one.
  if (match !== undefined) return { kind: 'match', etags: tagsOf('If-Match', match, false) };
  if (noneMatch !== undefined) return { kind: 'none_match', etags: tagsOf('If-None-Match', noneMatch, true) };
  return undefined;
};

const tagsOf = (name: string, header: string, weakToo: boolean): readonly string[] | '*' => {
  if (header.trim() === '*') return '*';
  const parts = header.split(',');
  const tags = parts.map((part) => tag.exec(part.trim()));
  if (parts.length > tagsCount || tags.includes(null)) {
    throw new ServiceError('invalid_argument', `${name} is *, or at most ${tagsCount} ETags in their quotes.`);
  }
  return tags.flatMap((found) => (found?.[2] === undefined || (found[1] && !weakToo) ? [] : [found[2]]));
};
