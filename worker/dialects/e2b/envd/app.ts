import { admit } from '../../../core/keys/admit.ts';
import { actorOfSandbox, type SandboxAccess } from '../../../core/access/sandbox-access.ts';
import { isEnvdToken } from '../../../core/access/sandbox-tokens.ts';
import { adminContextOf } from '../../../api/context.ts';
import { renderEnvdFailure, unauthorized } from './error.ts';
import { refusalOf } from './files/authorize.ts';
import { envdRoutes } from './route-table.ts';
import type { Handled } from './route.ts';

const byPlace = new Map(envdRoutes.map((route) => [`${route.method} ${route.path}`, route]));

/**
 * A request to a sandbox's port 49983. What is not in the table, the orchestrator's own routes among it, is 404. `wake`: of one that traffic
 * wakes; done for those alone who may call.
 */
export const serveEnvd = async (c: Handled, access: SandboxAccess, wake: () => Promise<void>): Promise<Response> => {
  c.set('sandbox', access);
  c.set('actor', actorOfSandbox(access));
  const response = await answer(c, access, wake);
  response.headers.set('access-control-allow-origin', '*');
  response.headers.set('access-control-expose-headers', '*');
  return response;
};

const answer = async (c: Handled, access: SandboxAccess, wake: () => Promise<void>): Promise<Response> => {
  if (c.req.method === 'OPTIONS') return preflight(c);
  const route = byPlace.get(`${c.req.method} ${c.req.path}`);
  if (!route) return c.json({ code: 404, message: 'not found' }, 404);
  try {
    const owner = await hasToken(c, access);
    if (!owner && route.access === 'token') return unauthorized(c);
    const refusal = !owner && route.access === 'token-or-signature' ? await refusalOf(c, access) : undefined;
    if (refusal !== undefined) return unauthorized(c, refusal);
    const visitor = !owner && route.access === 'anybody';
    await admit(adminContextOf(c), visitor ? visitorOf(access) : actorOfSandbox(access), c.req.method);
    if (!visitor) await wake();
    return await route.handler(c);
  } catch (error) {
    return renderEnvdFailure(error, c);
  }
};

/** Visitors have a rate of their own: who knows a sandbox's id alone takes nothing from who has its token. */
const visitorOf = (access: SandboxAccess) => ({ ...actorOfSandbox(access), keyId: `visitor-${access.sandboxId}` });

/** Of an open sandbox everybody has it. */
const hasToken = async (c: Handled, access: SandboxAccess): Promise<boolean> => {
  if (access.envdOpen) return true;
  const token = c.req.header('x-access-token');
  if (token === undefined) return false;
  return isEnvdToken(c.get('services').signer, access, token);
};

/** The headers that were asked for by their names: `*` stands for all but Authorization, which carries the user. */
const preflight = (c: Handled): Response =>
  new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-methods': '*',
      'access-control-allow-headers': c.req.header('access-control-request-headers') ?? '*',
      'access-control-max-age': '7200',
    },
  });
