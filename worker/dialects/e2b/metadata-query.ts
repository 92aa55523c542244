import { ServiceError } from '../../core/errors.ts';

/** A statement of D1's takes 100 parameters, two for each pair. */
const pairsCount = 16;

/**
 * The `metadata` of a list, after the query's own decoding: the SDKs write keys and values by encodeURIComponent into a query string and
 * that, once more encoded, into the query. Throws invalid_argument.
 */
export const decodeMetadata = (text: string | undefined): [string, string][] => {
  const pairs = [...new URLSearchParams(text ?? '')].map(([key, value]): [string, string] => [
    decoded(key),
    decoded(value),
  ]);
  if (pairs.length <= pairsCount) return pairs;
  throw new ServiceError('invalid_argument', `Error parsing metadata: at most ${pairsCount} pairs.`);
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ServiceError('invalid_argument', 'Error parsing metadata: its percent-encoding is broken.');
  }
};
