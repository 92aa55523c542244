import { HTTPException } from 'hono/http-exception';
import type { Context as HonoContext } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { ServiceError } from '../core/errors.ts';
import type { AppEnv } from './app-env.ts';
import { describeCause } from '../core/describe-cause.ts';

/** Anything thrown, as what the caller may know. */
export const toServiceError = (error: unknown): ServiceError => {
  if (error instanceof ServiceError) return error;
  if (error instanceof HTTPException && error.status < 500) {
    return new ServiceError('invalid_argument', `${error.message || 'The request is malformed'}.`, { cause: error });
  }
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

/** The native API's one renderer. */
export const renderError = (thrown: unknown, c: HonoContext<AppEnv>): Response => {
  const error = toServiceError(thrown);
  const { requestId, log } = c.var;
  if (error.status >= 500) {
    // 503 is an answer like any other: only what lies behind it is worth a stack.
    const cause = error.status === 503 ? error.cause : (error.cause ?? thrown);
    log({
      level: error.status === 503 ? 'warn' : 'error',
      requestId,
      code: error.code,
      message: error.message,
      ...(cause === undefined ? {} : { cause: describeCause(cause) }),
    });
  }
  if (error.retryAfterSeconds !== undefined) c.header('retry-after', String(Math.ceil(error.retryAfterSeconds)));
  if (error.code === 'unauthenticated') c.header('www-authenticate', 'Bearer');
  return c.json({ error: errorView(error, requestId) }, error.status as ContentfulStatusCode);
};
