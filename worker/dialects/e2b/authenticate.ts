import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { adminContextOf } from '../../api/context.ts';
import { ServiceError } from '../../core/errors.ts';
import { admit } from '../../core/keys/admit.ts';
import { authenticate } from '../../core/keys/authenticate.ts';

const bearer = /^Bearer +(\S+)$/i;

/** A tenant's key: X-API-KEY as the SDKs send it, or the bearer that the CLI sends. */
export const e2bKey: MiddlewareHandler<AppEnv> = async (c, next) => {
  const ctx = adminContextOf(c);
  const credential = c.req.header('x-api-key') ?? bearer.exec(c.req.header('authorization') ?? '')?.[1];
  if (credential === undefined || credential === '') {
    throw new ServiceError('unauthenticated', 'An API key is needed: X-API-KEY: e2b_ and 40 lowercase hex characters.');
  }
  const actor = await authenticate(ctx, credential);
  c.set('actor', actor);
  await admit(ctx, actor, c.req.method);
  await next();
};
