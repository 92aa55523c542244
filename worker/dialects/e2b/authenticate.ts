import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { adminContextOf } from '../../api/context.ts';
import { ServiceError } from '../../core/errors.ts';
import { admit } from '../../core/keys/admit.ts';
import { authenticate } from '../../core/keys/authenticate.ts';
import { rootPathOf } from '../root-paths.ts';

const bearer = /^Bearer +(\S+)$/i;

/** X-API-KEY as the SDKs send it, or the bearer that the CLI sends. Throws unauthenticated where there is none. */
export const credentialOf = (c: HonoContext<AppEnv>): string => {
  const credential = c.req.header('x-api-key') ?? bearer.exec(c.req.header('authorization') ?? '')?.[1];
  if (credential !== undefined && credential !== '') return credential;
  throw new ServiceError('unauthenticated', 'An API key is needed: X-API-KEY: e2b_ and 40 lowercase hex characters.');
};

/** On paths that two products have, a key's prefix says which is meant. */
const refuseOther = (path: string, credential: string): void => {
  if (rootPathOf(path)?.sharedWith !== 'sandbase' || !credential.startsWith('sk-sb-')) return;
  throw new ServiceError(
    'not_implemented',
    "A key that begins with sk-sb- asks for Sandbase's API here, which is not served; with e2b_ before its other characters it asks for E2B's.",
  );
};

/** A tenant's key: known, with the scope that the method needs, and within its rate. */
export const e2bKey: MiddlewareHandler<AppEnv> = async (c, next) => {
  const ctx = adminContextOf(c);
  const credential = credentialOf(c);
  const actor = await authenticate(ctx, credential);
  c.set('actor', actor);
  refuseOther(c.req.path, credential);
  await admit(ctx, actor, c.req.method);
  await next();
};
