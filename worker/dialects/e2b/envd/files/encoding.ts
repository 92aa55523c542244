import { ServiceError } from '../../../../core/errors.ts';

interface Accepted {
  coding: string;
  quality: number;
}

const listOf = (header: string): Accepted[] =>
  header
    .split(',')
    .map((part) => {
      const [coding = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
      const quality = parameters.find((parameter) => parameter.startsWith('q='));
      const value = Number(quality?.slice(2) ?? 1);
      return { coding, quality: Number.isFinite(value) ? value : 1 };
    })
    .filter(({ coding }) => coding !== '');

/** Refused by name, or with all that is not named (RFC 9110 section 12.5.3). */
const refusesIdentity = (accepted: readonly Accepted[]): boolean => {
  const named = accepted.find(({ coding }) => coding === 'identity');
  return (named ?? accepted.find(({ coding }) => coding === '*'))?.quality === 0;
};

/**
 * How a download is answered, by its Accept-Encoding; undefined: in no way that the client takes. Compressed only for who asks for gzip
 * and nothing else, or takes nothing plain: on the list that each HTTP client sends by itself it would only cost time. `part`: of a
 * file's own bytes, never compressed.
 */
export const answerEncoding = (header: string | undefined, part: boolean): 'identity' | 'gzip' | undefined => {
  const accepted = listOf((header ?? '').slice(0, 1024));
  const wanted = accepted.filter(({ quality }) => quality > 0);
  const plain = !refusesIdentity(accepted);
  if (part) return plain ? 'identity' : undefined;
  if (!plain) return wanted.some(({ coding }) => coding === 'gzip' || coding === '*') ? 'gzip' : undefined;
  return wanted.length === 1 && wanted[0]?.coding === 'gzip' ? 'gzip' : 'identity';
};

/** Of an upload's body. Throws invalid_argument for another. */
export const bodyEncoding = (header: string | undefined): 'identity' | 'gzip' => {
  const coding = (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity') return 'identity';
  if (coding === 'gzip') return 'gzip';
  throw new ServiceError('invalid_argument', `unsupported Content-Encoding: ${coding.slice(0, 40)}; gzip is read`);
};
