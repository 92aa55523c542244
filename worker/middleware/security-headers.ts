import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';

/**
 * A browser that opens an answer, a sandbox's file among them, runs nothing from it. A handler that set its own policy keeps it. What a server in a
 * sandbox answers has its own headers, or on our origin those of answer-headers.ts.
 */
export const securityHeaders: MiddlewareHandler<AppEnv> = async (c, next) => {
  await next();
  if (c.get('fromPort') === true) return;
  const { headers } = c.res;
  headers.set('x-content-type-options', 'nosniff');
  headers.set('referrer-policy', 'no-referrer');
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store');
  if (!headers.has('content-security-policy')) {
    headers.set('content-security-policy', "default-src 'none'; frame-ancestors 'none'; sandbox");
  }
};
