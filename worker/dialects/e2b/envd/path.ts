import { executionBounds, fitsBytes } from '../../../contract/execution.ts';
import { ServiceError } from '../../../core/errors.ts';

const invalid = (message: string): ServiceError => new ServiceError('invalid_argument', message);

/** A path as the core takes it: absolute, or relative to the user's home, which is also what `~` and nothing at all mean. */
export const expandPath = (path: string): string => {
  if (path.includes('\0')) throw invalid('the path contains NUL');
  if (!path.isWellFormed()) throw invalid('the path is not UTF-8');
  if (!fitsBytes(path, executionBounds.pathBytes)) {
    throw invalid(`the path is longer than ${executionBounds.pathBytes} bytes`);
  }
  if (path === '' || path === '~') return '.';
  if (!path.startsWith('~')) return path;
  if (path[1] !== '/' && path[1] !== '\\') throw invalid(`only the caller's own home can be written as ~: '${path}'`);
  return `.${path[1] === '/' ? '' : '/'}${path.slice(1)}`;
};
