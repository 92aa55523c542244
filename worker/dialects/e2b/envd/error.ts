import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { logFailure, toServiceError } from '../../../api/render-error.ts';
import type { ServiceError } from '../../../core/errors.ts';
import { sandboxGone } from '../proxy-error.ts';
import type { Handled } from './route.ts';

/** The sandbox itself is not there to talk to: said by the proxy's 502 and not by the service inside. */
export const isGone = (error: ServiceError): boolean =>
  error.code === 'not_found' || error.code === 'sandbox_ended' || error.code === 'sandbox_not_running';

export const unauthorized = (c: Handled, message = defaultRefusal): Response => c.json({ code: 401, message }, 401);
const defaultRefusal = 'unauthorized access, please provide a valid access token or method signing if supported';

/** Anything thrown by a plain HTTP route of envd. */
export const renderEnvdFailure = (thrown: unknown, c: Handled): Response => {
  const error = toServiceError(thrown);
  logFailure(c, error, thrown);
  if (isGone(error)) return sandboxGone(c, c.var.sandbox?.sandboxId ?? '');
  if (error.retryAfterSeconds !== undefined) c.header('retry-after', String(Math.ceil(error.retryAfterSeconds)));
  // To the SDKs a 502 says that the sandbox is gone, where only the way to it is.
  const status = error.status === 502 ? 503 : error.status;
  return c.json({ code: status, message: error.message }, status as ContentfulStatusCode);
};
