import { commitWritesCount } from '../artifacts/commit-artifacts.ts';
import { ServiceError } from '../errors.ts';

/** Of one directory that is copied: they become visible in one transaction, and each is a request to the object store. */
export const filesCountMax = commitWritesCount;

export const tooManyFiles = (what: string): ServiceError =>
  new ServiceError('payload_too_large', `${what} holds more than ${filesCountMax} files: copy it in parts.`);
