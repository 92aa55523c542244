import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { timestampOf, timestampOrNull } from '../../api/timestamp.ts';
import { hasScope } from '../../core/keys/authenticate.ts';
import { createKey, type CreatedKey } from '../../core/keys/create-key.ts';
import { listKeys } from '../../core/keys/list-keys.ts';
import { revokeKey } from '../../core/keys/revoke-key.ts';
import { toE2bKey } from './key.ts';
import { readJson } from './read-json.ts';
import type { E2bRoute, Handled } from './route.ts';

type KeyRow = CreatedKey['key'];

/** E2B's list has no pages; revoked and expired keys are not in it. */
const listedCount = 1_000;

/** Of every key: e2b_ and 40 characters, of which the last four are told. */
const viewKey = (key: KeyRow) => ({
  id: key.id,
  name: key.name,
  mask: { prefix: 'e2b_', valueLength: 40, maskedValuePrefix: '', maskedValueSuffix: key.hint },
  createdAt: timestampOf(key.createdAtMs),
  createdBy: null,
  lastUsed: timestampOrNull(key.lastUsedAtMs),
});

const list = async (c: Handled) => {
  const ctx = contextOf(c);
  const { keys } = await listKeys(ctx, { cursor: undefined, limit: listedCount });
  const valid = keys.filter(
    ({ revokedAtMs, expiresAtMs }) => revokedAtMs === null && (expiresAtMs === null || expiresAtMs > ctx.now()),
  );
  return c.json(valid.map(viewKey), 200);
};

const newKey = z.object({ name: z.string().min(1).max(128) });

/** As wide as the key that makes it, but for the right to make wider ones; it expires with it. */
const create = async (c: Handled) => {
  const ctx = contextOf(c);
  const { name } = await readJson(c, newKey);
  const scopes = (['read', 'write'] as const).filter((scope) => hasScope(ctx.actor.scopes, scope));
  const { key, secret } = await createKey(ctx, { name, scopes, expiresAtMs: ctx.actor.keyExpiresAtMs });
  return c.json({ ...viewKey(key), key: toE2bKey(secret) }, 201);
};

const remove = async (c: Handled) => {
  await revokeKey(contextOf(c), c.req.param('apiKeyID') ?? '');
  return c.body(null, 204);
};

export const apiKeyRoutes: readonly E2bRoute[] = [
  { method: 'GET', path: '/api-keys', body: 'none', handler: list },
  { method: 'POST', path: '/api-keys', body: 'json', handler: create },
  { method: 'DELETE', path: '/api-keys/{apiKeyID}', body: 'none', handler: remove },
];
