import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { adminContextOf } from '../api/context.ts';
import { ServiceError } from '../core/errors.ts';
import { admit } from '../core/keys/admit.ts';
import { authenticate } from '../core/keys/authenticate.ts';
import { isAdminKey } from '../core/keys/is-admin-key.ts';

const bearer = /^Bearer +(\S+)$/i;

const credentialOf = (c: HonoContext<AppEnv>): string => {
  const credential = bearer.exec(c.req.header('authorization') ?? '')?.[1] ?? c.req.header('x-api-key');
  if (credential === undefined || credential === '') {
    throw new ServiceError(
      'unauthenticated',
      'An API key is needed: Authorization: Bearer <key>, or X-API-Key: <key>.',
    );
  }
  return credential;
};

const adminHere = "The admin key manages tenants, their keys and templates; use one of a tenant's keys here.";

/** A tenant's key: known, with the scope that the method needs, and within its rate. */
export const tenantKey =
  (adminApiKey: string): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const ctx = adminContextOf(c);
    const credential = credentialOf(c);
    const actor = await authenticate(ctx, credential).catch(async (error: unknown) => {
      if (await isAdminKey(credential, adminApiKey)) throw new ServiceError('permission_denied', adminHere);
      throw error;
    });
    c.set('actor', actor);
    await admit(ctx, actor, c.req.method);
    await next();
  };

/** The administrator's routes: only the admin key from configuration. */
export const adminKey =
  (adminApiKey: string): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const credential = credentialOf(c);
    if (!(await isAdminKey(credential, adminApiKey))) {
      // A tenant's valid key is told that it lacks the right; anything else that it is no key.
      await authenticate(adminContextOf(c), credential);
      throw new ServiceError('permission_denied', 'Only the admin key may do this.');
    }
    await next();
  };
