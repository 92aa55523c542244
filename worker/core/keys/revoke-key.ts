import { and, eq, isNull } from 'drizzle-orm';
import { apiKeys, type ApiKey } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { hasScope } from './authenticate.ts';

/** Holds at once in this isolate and within 30 s in others. Revoking again is no error. A wider key than one's own is refused. */
export const revokeKey = async (ctx: Context, keyId: string): Promise<ApiKey> => {
  const own = and(eq(apiKeys.id, keyId), eq(apiKeys.tenantId, ctx.actor.tenant.id));
  const [key] = await ctx.directory.select().from(apiKeys).where(own).limit(1);
  if (!key) throw new ServiceError('not_found', `There is no API key with the id ${keyId}.`);
  if (key.scopes.some((scope) => !hasScope(ctx.actor.scopes, scope))) {
    throw new ServiceError('permission_denied', 'This key has wider scopes than yours.');
  }
  const revokedAtMs = key.revokedAtMs ?? ctx.now();
  await ctx.directory
    .update(apiKeys)
    .set({ revokedAtMs })
    .where(and(own, isNull(apiKeys.revokedAtMs)));
  ctx.keyring.forgetKey(keyId);
  return { ...key, revokedAtMs };
};
