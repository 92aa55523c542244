import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { ServiceError } from '../core/errors.ts';
import { hostnameOf } from '../core/traffic/sandbox-host.ts';

/** As URL writes it: IPv6 in brackets, IPv4 as four decimal numbers. */
const isAddress = (hostname: string): boolean => hostname.startsWith('[') || /^\d+(\.\d+){3}$/.test(hostname);

/**
 * Of the embedded default: a web page whose name was pointed at this machine (DNS rebinding) gets no answer. It takes a name for that,
 * so whoever calls by an address is served: with --bind 0.0.0.0 that is how other machines do. A name under the sandbox domain reaches a
 * sandbox and nothing else.
 */
export const knownHost = (publicUrl: string, sandboxDomain: string | undefined): MiddlewareHandler<AppEnv> => {
  const known = new Set(['localhost', new URL(publicUrl).hostname]);
  const base = sandboxDomain === undefined ? undefined : hostnameOf(sandboxDomain);
  const isSandbox = (hostname: string): boolean => base !== undefined && `.${hostname}`.endsWith(`.${base}`);
  return async (c, next) => {
    const { hostname } = new URL(c.req.url);
    if (!known.has(hostname) && !isAddress(hostname) && !isSandbox(hostname)) {
      throw new ServiceError(
        'permission_denied',
        "This host name is not served here; use localhost, the machine's IP address or the PUBLIC_URL.",
      );
    }
    await next();
  };
};
