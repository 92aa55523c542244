import { ServiceError } from '../../core/errors.ts';

export const invalidNextToken = (): ServiceError => new ServiceError('invalid_argument', 'Invalid next token');

/** A list of the core's by pages: what is wrong with a cursor, E2B says of its token. */
export const pageAfterToken = async <T>(listing: Promise<T>): Promise<T> => {
  try {
    return await listing;
  } catch (error) {
    const badCursor = error instanceof ServiceError && error.issues?.[0]?.path === 'cursor';
    throw badCursor ? invalidNextToken() : error;
  }
};
