import { HTTPException } from 'hono/http-exception';
import type { Context as HonoContext } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { recordsExceeded } from '../core/artifacts/storage-quota.ts';
import { ServiceError } from '../core/errors.ts';
import type { AppEnv } from './app-env.ts';
import { describeCause } from '../core/describe-cause.ts';

/** Anything thrown, as what the caller may know. */
export const toServiceError = (error: unknown): ServiceError => {
  if (error instanceof ServiceError) return error;
  if (error instanceof HTTPException && error.status < 500) {
    return new ServiceError('invalid_argument', `${error.message || 'The request is malformed'}.`, { cause: error });
  }
  const refusal = recordsExceeded(error);
  if (refusal) return refusal;
  return new ServiceError('internal', 'Something went wrong on our side. The request id identifies it in our logs.', {
    cause: error,
  });
};

/** The object inside of an error answer, for streams that fail after their head was sent. */
export const errorView = (error: ServiceError, requestId: string) => ({
  code: error.code,
  message: error.message,
  requestId,
  ...(error.issues === undefined ? {} : { issues: error.issues }),
});

/** What the caller is not told about a failure of ours goes to the log; what is the caller's own fault does not. */
export const logFailure = (c: HonoContext<AppEnv>, error: ServiceError, thrown: unknown): void => {
  if (error.status < 500) return;
  const { requestId, log } = c.var;
  // 503 is an answer like any other: only what lies behind it is worth a stack.
  const cause = error.status === 503 ? error.cause : (error.cause ?? thrown);
  log({
    level: error.status === 503 ? 'warn' : 'error',
    requestId,
    code: error.code,
    message: error.message,
    ...(cause === undefined ? {} : { cause: describeCause(cause) }),
  });
};

/** The native API's one renderer. */
export const renderError = (thrown: unknown, c: HonoContext<AppEnv>): Response => {
  const error = toServiceError(thrown);
  logFailure(c, error, thrown);
  if (error.retryAfterSeconds !== undefined) c.header('retry-after', String(Math.ceil(error.retryAfterSeconds)));
  if (error.code === 'unauthenticated') c.header('www-authenticate', 'Bearer');
  return c.json({ error: errorView(error, c.var.requestId) }, error.status as ContentfulStatusCode);
};
