import { ServiceError } from '../errors.ts';

/**
 * The name of an archive's entry as a relative path of plain segments: «.» and empty segments go, and so does a slash at
 * the end. '' is the archive's root. Throws invalid_argument for a name that would lead elsewhere or that is none.
 */
export function entryPath(name: Uint8Array, bytesMax: number): string {
  const refused = (why: string, shown = ''): ServiceError =>
    new ServiceError(
      'invalid_argument',
      `The archive has an entry ${shown === '' ? '' : `«${shown.slice(0, 200)}» `}${why}.`,
    );
  if (name.length > bytesMax) throw refused(`with a path of more than ${bytesMax} bytes`);
  let path: string;
  try {
    path = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name);
  } catch {
    throw refused('with a path that is not UTF-8', new TextDecoder().decode(name));
  }
  if (path.includes('\0')) throw refused('with a NUL in its path');
  if (path.startsWith('/')) throw refused('with an absolute path', path);
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  if (segments.includes('..')) throw refused('that would lie outside the target', path);
  return segments.join('/');
}
