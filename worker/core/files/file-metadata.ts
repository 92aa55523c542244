import type { FileMetadata } from '../../../runner/protocol/files.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';

const headerPrefix = 'x-metadata-';
/** What each key is stored under; it counts. */
const attributePrefixBytes = 'user.e2b.'.length;

/**
 * A file's metadata from the `X-Metadata-<key>` headers of its upload; keys are lower case, as header names are. Throws invalid_argument past
 * the bounds, and for what is not printable ASCII.
 */
export const metadataOfHeaders = (headers: Iterable<[string, string]>): FileMetadata => {
  const metadata: [string, string][] = [];
  let bytes = 0;
  for (const [name, value] of headers) {
    const key = name.toLowerCase().startsWith(headerPrefix) ? name.slice(headerPrefix.length).toLowerCase() : '';
    if (key === '') continue;
    requireMetadata(key, value);
    bytes += attributePrefixBytes + key.length + value.length;
    metadata.push([key, value]);
  }
  if (bytes > limits.metadataBytes) {
    throw invalid(`total is ${bytes} bytes, which may be at most ${limits.metadataBytes}`);
  }
  return Object.fromEntries(metadata);
};

const requireMetadata = (key: string, value: string): void => {
  if (key.length > limits.metadataKeyBytes) {
    throw invalid(`key «${key.slice(0, 40)}…» has more than ${limits.metadataKeyBytes} bytes`);
  }
  if (!isPrintable(key)) throw invalid('keys are printable ASCII');
  if (!isPrintable(value)) throw invalid(`value of «${key}» is not printable ASCII`);
};

const isPrintable = (text: string): boolean => /^[\u0020-\u007e]*$/.test(text);

const invalid = (what: string): ServiceError => new ServiceError('invalid_argument', `Invalid metadata: its ${what}.`);
