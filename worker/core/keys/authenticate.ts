import { and, eq, isNull, lt, or } from 'drizzle-orm';
import { apiKeys } from '../../../db/directory.ts';
import type { Scope } from '../../../db/enums.ts';
import { ServiceError } from '../errors.ts';
import type { Actor, AdminContext } from '../ports.ts';
import { bodyOfKey } from './key-format.ts';

/** lastUsedAt is for people: it may lag by this much. */
const lastUsedEveryMs = 60_000;

const refuse = (message: string): ServiceError => new ServiceError('unauthenticated', message);

/** Who holds this credential. Throws unauthenticated with a sentence that says what is wrong with it. */
export const authenticate = async (ctx: AdminContext, credential: string): Promise<Actor> => {
  const body = bodyOfKey(credential);
  if (body === undefined) throw refuse('This is not an API key: a key is gb_ and 40 lowercase hex characters.');
  const nowMs = ctx.now();
  const held = await ctx.keyring.find(ctx.directory, await ctx.keyring.digest(body), nowMs);
  if (!held) throw refuse('There is no such API key.');
  const { key, tenant } = held;
  if (key.revokedAtMs !== null) throw refuse('This API key has been revoked.');
  if (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) throw refuse('This API key has expired.');
  if (tenant.suspendedAtMs !== null) throw refuse('The tenant of this API key is suspended.');
  if (key.lastUsedAtMs === null || nowMs - key.lastUsedAtMs >= lastUsedEveryMs) {
    key.lastUsedAtMs = nowMs;
    ctx.after(noteUse(ctx, key.id, nowMs));
  }
  return { tenant, keyId: key.id, scopes: key.scopes, keyExpiresAtMs: key.expiresAtMs };
};

const noteUse = async (ctx: AdminContext, keyId: string, nowMs: number): Promise<void> => {
  const stale = or(isNull(apiKeys.lastUsedAtMs), lt(apiKeys.lastUsedAtMs, nowMs));
  await ctx.directory
    .update(apiKeys)
    .set({ lastUsedAtMs: nowMs })
    .where(and(eq(apiKeys.id, keyId), stale));
};

/** Wider scopes include narrower ones. */
const rank: Record<Scope, number> = { read: 0, write: 1, admin: 2 };

export const hasScope = (scopes: readonly Scope[], needed: Scope): boolean =>
  scopes.some((scope) => rank[scope] >= rank[needed]);

export const requireScope = (actor: Actor, needed: Scope): void => {
  if (hasScope(actor.scopes, needed)) return;
  throw new ServiceError(
    'permission_denied',
    `This API key has the scopes ${actor.scopes.join(', ')}; the request needs ${needed}.`,
  );
};
