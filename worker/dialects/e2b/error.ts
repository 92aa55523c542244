import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { logFailure, toServiceError } from '../../api/render-error.ts';
import type { ErrorCode, ServiceError } from '../../core/errors.ts';
import type { Handled } from './route.ts';

/** Statuses in which E2B's table differs from the core's. */
const statusOf = (error: ServiceError): number => {
  switch (error.code) {
    case 'sandbox_ended':
      return 404;
    case 'image_unsupported':
    case 'idempotency_mismatch':
      return 400;
    default:
      return error.status;
  }
};

/** What E2B tells programs beside the status. */
const errorCodes: Partial<Record<ErrorCode, string>> = {
  capacity_exhausted: 'sandbox_capacity_unavailable',
  template_unavailable: 'sandbox_no_compatible_node',
  internal: 'internal_server_error',
};

/** Anything thrown, as E2B's control plane says it. `code` is in the body: the JavaScript SDK looks nowhere else. */
export const viewFailure = (thrown: unknown, c: Handled) => {
  const error = toServiceError(thrown);
  logFailure(c, error, thrown);
  const errorCode = errorCodes[error.code];
  const more = errorCode === undefined ? {} : { error_code: errorCode };
  return { code: statusOf(error), message: error.message, ...more };
};

export const renderFailure = (thrown: unknown, c: Handled): Response => {
  const body = viewFailure(thrown, c);
  const later = body.code === 429 || body.code === 503 ? 1 : undefined;
  const retryAfterSeconds = toServiceError(thrown).retryAfterSeconds ?? later;
  if (retryAfterSeconds !== undefined) c.header('retry-after', String(Math.ceil(retryAfterSeconds)));
  return c.json(body, body.code as ContentfulStatusCode);
};
