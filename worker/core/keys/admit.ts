import { ServiceError } from '../errors.ts';
import type { Actor, AdminContext } from '../ports.ts';
import { requireScope } from './authenticate.ts';

/** Takes one request of the key's rate, then asks for the scope that the HTTP method needs. Throws rate_limited, permission_denied. */
export const admit = async (ctx: AdminContext, actor: Actor, method: string): Promise<void> => {
  if (!(await ctx.broker.takeRequest(actor.keyId, actor.tenant.requestsPerSecond))) {
    throw new ServiceError(
      'rate_limited',
      `This key may make ${actor.tenant.requestsPerSecond} requests a second; wait a second and try again.`,
      { retryAfterSeconds: 1 },
    );
  }
  requireScope(actor, method === 'GET' || method === 'HEAD' ? 'read' : 'write');
};
