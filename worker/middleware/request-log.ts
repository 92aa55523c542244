import type { MiddlewareHandler } from 'hono';
import type { AppEnv, Log } from '../api/app-env.ts';

/** A signed URL is a right to read: it must not be read off the log. */
const loggable = (path: string): string => path.replace(/\/material\/.*/, '/material/…');

const inboundId = /^[A-Za-z0-9._-]{8,64}$/;

/** Gives each request its id (a sane inbound x-request-id is kept) and writes one access line for it, without query or headers. */
export const requestLog =
  (log: Log): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const startedAtMs = performance.now();
    const inbound = c.req.header('x-request-id');
    const requestId = inbound !== undefined && inboundId.test(inbound) ? inbound : crypto.randomUUID();
    c.set('requestId', requestId);
    c.set('log', log);
    await next();
    c.res.headers.set('x-request-id', requestId);
    const { actor } = c.var;
    log({
      level: 'info',
      requestId,
      method: c.req.method,
      path: loggable(c.req.path),
      status: c.res.status,
      durationMs: Math.round((performance.now() - startedAtMs) * 10) / 10,
      ...(actor ? { tenantId: actor.tenant.id, keyId: actor.keyId } : {}),
    });
  };
