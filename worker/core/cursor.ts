import { ServiceError } from './errors.ts';

/** A cursor is opaque to callers: base64url of a JSON array of numbers and strings. */
export const encodeCursor = (position: readonly (string | number)[]): string =>
  btoa(inAscii(JSON.stringify(position)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** btoa takes no other characters; in JSON each can be written so. */
const inAscii = (json: string): string =>
  json.replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** `shape` says what each part must be. Throws invalid_argument for anything that encodeCursor did not make. */
export const decodeCursor = <const S extends readonly ('number' | 'string')[]>(
  cursor: string,
  shape: S,
): { [K in keyof S]: S[K] extends 'number' ? number : string } => {
  const position = parse(cursor);
  if (Array.isArray(position) && position.length === shape.length) {
    const fits = shape.every((type, index) => typeof position[index] === type);
    if (fits) return position as { [K in keyof S]: S[K] extends 'number' ? number : string };
  }
  throw new ServiceError('invalid_argument', 'The cursor is not one that this list gave.', {
    issues: [{ path: 'cursor', message: 'unknown' }],
  });
};

const parse = (cursor: string): unknown => {
  try {
    return JSON.parse(atob(cursor.replaceAll('-', '+').replaceAll('_', '/')));
  } catch {
    return undefined;
  }
};
