import type { RunnerErrorCode } from '../../../runner/protocol/errors.ts';
import { ServiceError, type ErrorCode } from '../../core/errors.ts';

/** Errors cross between isolates as values: a thrown one would arrive without its code. */
export interface Failure {
  code: ErrorCode;
  message: string;
  retryAfterSeconds?: number;
  filePath?: string;
  runnerCode?: RunnerErrorCode;
  /** For the log. */
  cause?: string;
}
export type Outcome<T> = { ok: true; value: T } | { ok: false; error: Failure };

export const settle = async <T>(work: () => Promise<T>): Promise<Outcome<T>> => {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, error: describeFailure(error) };
  }
};

export const describeFailure = (error: unknown): Failure => {
  if (!(error instanceof ServiceError)) {
    return {
      code: 'internal',
      message: 'Something went wrong inside. The request id identifies it in the logs.',
      cause: causeText(error),
    };
  }
  return {
    code: error.code,
    message: error.message,
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
    ...(error.filePath === undefined ? {} : { filePath: error.filePath }),
    ...(error.runnerCode === undefined ? {} : { runnerCode: error.runnerCode }),
    ...(error.cause === undefined ? {} : { cause: causeText(error.cause) }),
  };
};

const causeText = (cause: unknown): string =>
  (cause instanceof Error ? (cause.stack ?? cause.message) : JSON.stringify(cause)) ?? 'unknown';

export const unwrap = <T>(outcome: Outcome<T>): T => {
  if (outcome.ok) return outcome.value;
  throw errorOf(outcome.error);
};

export const errorOf = ({ code, message, retryAfterSeconds, filePath, runnerCode, cause }: Failure): ServiceError =>
  new ServiceError(code, message, {
    cause,
    filePath,
    runnerCode,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
