import { ServiceError } from '../errors.ts';
import type { Actor, AdminContext } from '../ports.ts';

/** The key that Acontext's documents give to whoever hosts it themselves. */
export const documentedKey = 'sk-ac-your-root-api-bearer-token';

/**
 * Everybody knows this key: the caller makes sure that only this machine can reach the installation. It stands for the oldest tenant of
 * that name, with the scopes read and write.
 */
export const actorOfDocumentedKey = async (ctx: AdminContext, tenantName: string): Promise<Actor> => {
  const tenant = await ctx.keyring.findOldestTenant(ctx.directory, tenantName, ctx.now());
  if (!tenant) throw new ServiceError('unauthenticated', `There is no tenant ${tenantName} yet.`);
  if (tenant.suspendedAtMs !== null) throw new ServiceError('unauthenticated', 'The tenant of this key is suspended.');
  return { tenant, keyId: `documented_${tenant.id}`, scopes: ['read', 'write'], keyExpiresAtMs: null };
};
