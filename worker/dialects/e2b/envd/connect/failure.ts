import { logFailure, toServiceError } from '../../../../api/render-error.ts';
import { ServiceError } from '../../../../core/errors.ts';
import type { Handled } from '../route.ts';
import { connectCodeOf, type ConnectCode } from './codes.ts';

/** A failure that a handler says in Connect's own words; anything else is mapped by its code (codes.ts). */
export class ConnectError extends Error {
  readonly code: ConnectCode;

  constructor(code: ConnectCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface ConnectFailure {
  code: ConnectCode;
  message: string;
}

/** What the caller is told; what it is not told goes to the log. */
export const connectFailure = (thrown: unknown, c: Handled): ConnectFailure => {
  if (thrown instanceof ConnectError) return { code: thrown.code, message: thrown.message };
  const error = toServiceError(thrown);
  logFailure(c, error, thrown);
  return { code: connectCodeOf[error.code], message: error.message };
};

/** After these the sandbox, or the way to it, is gone: a stream is cut, so that the client asks /health why. */
export const cutsStream = (thrown: unknown): boolean =>
  thrown instanceof ServiceError &&
  (thrown.code === 'sandbox_ended' || thrown.code === 'not_found' || thrown.code === 'runner_lost');
