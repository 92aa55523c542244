import { apiKeys, type ApiKey } from '../../../db/directory.ts';
import type { Scope } from '../../../db/enums.ts';
import { ServiceError } from '../errors.ts';
import { newKeyBody, newKeyId } from '../ids.ts';
import type { AdminContext, Context } from '../ports.ts';
import { hasScope } from './authenticate.ts';
import { hintOf, nativeKey } from './key-format.ts';

export interface CreateKey {
  name: string;
  scopes: readonly Scope[];
  expiresAtMs: number | null;
}

export interface CreatedKey {
  key: ApiKey;
  /** The only time that it is seen. */
  secret: string;
}

/** A key of one's own tenant, never wider and never longer-lived than the key that makes it. */
export const createKey = (ctx: Context, input: CreateKey): Promise<CreatedKey> => {
  const { actor } = ctx;
  const wider = input.scopes.filter((scope) => !hasScope(actor.scopes, scope));
  if (wider.length > 0) {
    throw new ServiceError('permission_denied', `A key cannot give what it has not got: ${wider.join(', ')}.`);
  }
  const until = actor.keyExpiresAtMs;
  if (until !== null && (input.expiresAtMs === null || input.expiresAtMs > until)) {
    throw new ServiceError(
      'permission_denied',
      'A key that expires cannot make one that lasts longer; set expiresAt to its own or earlier.',
    );
  }
  return insertKey(ctx, actor.tenant.id, input);
};

/** By the tenant's own right or the administrator's: the callers have checked. */
export const insertKey = async (ctx: AdminContext, tenantId: string, input: CreateKey): Promise<CreatedKey> => {
  if (input.expiresAtMs !== null && input.expiresAtMs <= ctx.now()) {
    throw new ServiceError('invalid_argument', 'expiresAt is in the past.', {
      issues: [{ path: 'expiresAt', message: 'in the past' }],
    });
  }
  const body = newKeyBody();
  const key: ApiKey = {
    id: newKeyId(),
    tenantId,
    name: input.name,
    digest: await ctx.keyring.digest(body),
    hint: hintOf(body),
    scopes: [...new Set(input.scopes)],
    createdAtMs: ctx.now(),
    expiresAtMs: input.expiresAtMs,
    revokedAtMs: null,
    lastUsedAtMs: null,
  };
  await ctx.directory.insert(apiKeys).values(key);
  return { key, secret: nativeKey(body) };
};
