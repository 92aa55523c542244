import { ServiceError } from '../../../../core/errors.ts';
import { ConnectError } from '../connect/failure.ts';
import type { Selector } from './messages.ts';

type CoreSelector = { pid: number } | { tag: string };

/** Calls a verb with the process that is meant; one that is not there is told in envd's words. */
export const withSelected = async <T>(
  { pid, tag }: Selector,
  verb: (process: CoreSelector) => Promise<T>,
): Promise<T> => {
  const missing = () =>
    new ConnectError(
      'not_found',
      pid === undefined ? `process with tag ${tag} not found` : `process with pid ${pid} not found`,
    );
  // Linux has none, and protobuf none that is absent.
  if (pid === 0) throw missing();
  try {
    return await verb(pid === undefined ? { tag: tag ?? '' } : { pid });
  } catch (error) {
    throw error instanceof ServiceError && error.code === 'process_not_found' ? missing() : error;
  }
};
