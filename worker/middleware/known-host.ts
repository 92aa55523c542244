import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { ServiceError } from '../core/errors.ts';

/** As URL writes it: IPv6 in brackets, IPv4 as four decimal numbers. */
const isAddress = (hostname: string): boolean => hostname.startsWith('[') || /^\d+(\.\d+){3}$/.test(hostname);

/**
 * Of the embedded default: a web page whose name was pointed at this machine (DNS rebinding) gets no answer. It takes a name for that,
 * so whoever calls by an address is served: with --bind 0.0.0.0 that is how other machines do.
 */
export const knownHost = (publicUrl: string): MiddlewareHandler<AppEnv> => {
  const known = new Set(['localhost', new URL(publicUrl).hostname]);
  return async (c, next) => {
    const { hostname } = new URL(c.req.url);
    if (!known.has(hostname) && !isAddress(hostname)) {
      throw new ServiceError(
        'permission_denied',
        "This host name is not served here; use localhost, the machine's IP address or the PUBLIC_URL.",
      );
    }
    await next();
  };
};
