import { ServiceError } from '../../core/errors.ts';

/** Where a sandbox's first command runs, and where paths begin that are not absolute. */
export const workingDirectory = '/workspace';

export const sandboxGone = (cause?: unknown): ServiceError =>
  new ServiceError('not_found', 'sandbox not found or was killed', { cause });

/**
 * Work whose only missing thing can be the sandbox: unknown, another tenant's, killed and expired are one answer, so that nobody learns
 * which it was.
 */
export const inSandbox = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    const gone = error instanceof ServiceError && (error.code === 'not_found' || error.code === 'sandbox_ended');
    throw gone ? sandboxGone(error) : error;
  }
};
