import { ServiceError } from '../errors.ts';

/** Of a glob, and of a grep. */
export const maxPatternBytes = 1024;

/** Throws invalid_argument unless it is 1 to maxPatternBytes of well-formed Unicode. */
export const requirePattern = (pattern: string): void => {
  if (pattern.length > maxPatternBytes || new TextEncoder().encode(pattern).byteLength > maxPatternBytes) {
    throw new ServiceError('invalid_argument', `A pattern has at most ${maxPatternBytes} bytes.`);
  }
  if (pattern === '' || !pattern.isWellFormed()) {
    throw new ServiceError('invalid_argument', 'A pattern is well-formed Unicode, and not empty.');
  }
};

export const invalidPattern = (sentence: string, cause?: unknown): ServiceError =>
  new ServiceError('invalid_argument', `The pattern can't be read. ${sentence}`, { cause });
