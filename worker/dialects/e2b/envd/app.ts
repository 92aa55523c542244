import { admit } from '../../../core/keys/admit.ts';
import { actorOfSandbox, type SandboxAccess } from '../../../core/access/sandbox-access.ts';
import { sandboxOfToken } from '../../../core/access/sandbox-tokens.ts';
import { adminContextOf } from '../../../api/context.ts';
import { renderEnvdFailure, unauthorized } from './error.ts';
import { envdRoutes } from './route-table.ts';
import type { EnvdRoute, Handled } from './route.ts';

const byPlace = new Map(envdRoutes.map((route) => [`${route.method} ${route.path}`, route]));

/** A request to a sandbox's port 49983. What is not in the table, the orchestrator's own routes among it, is 404. */
export const serveEnvd = async (c: Handled, access: SandboxAccess): Promise<Response> => {
  c.set('sandbox', access);
  c.set('actor', actorOfSandbox(access));
  const response = await answer(c, access);
  response.headers.set('access-control-allow-origin', '*');
  response.headers.set('access-control-expose-headers', '*');
  return response;
};

const answer = async (c: Handled, access: SandboxAccess): Promise<Response> => {
  if (c.req.method === 'OPTIONS') return preflight();
  const route = byPlace.get(`${c.req.method} ${c.req.path}`);
  if (!route) return c.json({ code: 404, message: 'not found' }, 404);
  try {
    const ctx = adminContextOf(c);
    await admit(ctx, actorOfSandbox(access), c.req.method);
    if (!(await mayCall(c, access, route))) return unauthorized(c);
    return await route.handler(c);
  } catch (error) {
    return renderEnvdFailure(error, c);
  }
};

const mayCall = async (c: Handled, access: SandboxAccess, route: EnvdRoute): Promise<boolean> => {
  if (access.envdOpen || route.access !== 'token') return true;
  const token = c.req.header('x-access-token');
  if (token === undefined) return false;
  return (await sandboxOfToken(c.var.services.signer, 'envd', token)) === access.sandboxId;
};

const preflight = (): Response =>
  new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-methods': '*',
      'access-control-allow-headers': '*',
      'access-control-max-age': '7200',
    },
  });
