import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { ServiceError } from '../core/errors.ts';

const loopback = ['localhost', '127.0.0.1', '[::1]'];

/** Of the embedded default: a web page whose name was pointed at 127.0.0.1 (DNS rebinding) gets no answer. */
export const knownHost = (publicUrl: string): MiddlewareHandler<AppEnv> => {
  const known = new Set([...loopback, new URL(publicUrl).hostname]);
  return async (c, next) => {
    if (!known.has(new URL(c.req.url).hostname)) {
      throw new ServiceError(
        'permission_denied',
        'This host name is not served here; use localhost or the PUBLIC_URL.',
      );
    }
    await next();
  };
};
