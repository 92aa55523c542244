import type { MiddlewareHandler } from 'hono';
import type { AppEnv, Log } from '../api/app-env.ts';

/** A signed URL is a right to read: it must not be read off the log. */
const loggable = (path: string): string => path.replace(/\/(material|previews)\/.*/, '/$1/…');

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
    // A server inside may have given its own.
    if (!c.res.headers.has('x-request-id')) c.res.headers.set('x-request-id', requestId);
    const { actor, sandbox, fromPort } = c.var;
    log({
      level: 'info',
      requestId,
      method: c.req.method,
      // What is asked of a sandbox is its tenant's matter.
      ...(fromPort === true ? {} : { path: loggable(c.req.path) }),
      ...(sandbox ? { sandboxId: sandbox.sandboxId } : {}),
      status: c.res.status,
      durationMs: Math.round((performance.now() - startedAtMs) * 10) / 10,
      ...(actor ? { tenantId: actor.tenant.id, keyId: actor.keyId } : {}),
    });
  };
