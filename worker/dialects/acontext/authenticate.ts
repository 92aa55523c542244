import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { adminContextOf } from '../../api/context.ts';
import { ServiceError } from '../../core/errors.ts';
import { admit } from '../../core/keys/admit.ts';
import { authenticate } from '../../core/keys/authenticate.ts';
import { actorOfDocumentedKey, documentedKey } from '../../core/keys/documented-key.ts';

const bearer = /^Bearer +(\S+)$/i;

/**
 * A tenant's key as bearer, with the scope that the method needs, and within its rate. `localTenantName`: whose key the one of Acontext's
 * documents is (a local installation that only this machine reaches); null: nobody's.
 */
export const acontextKey =
  (localTenantName: string | null): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const ctx = adminContextOf(c);
    const credential = bearer.exec(c.req.header('authorization') ?? '')?.[1];
    if (credential === undefined) throw new ServiceError('unauthenticated', 'An API key is needed.');
    const actor =
      localTenantName !== null && credential === documentedKey
        ? await actorOfDocumentedKey(ctx, localTenantName)
        : await authenticate(ctx, credential);
    c.set('actor', actor);
    await admit(ctx, actor, c.req.method);
    await next();
  };
