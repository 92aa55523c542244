import * as routes from '../contract/keys.ts';
import { createKey } from '../core/keys/create-key.ts';
import { listKeys } from '../core/keys/list-keys.ts';
import { revokeKey } from '../core/keys/revoke-key.ts';
import { getStoredBytes } from '../core/tenants/get-stored-bytes.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { keyInput, viewCreatedKey, viewKey, viewLimits } from './key-view.ts';
import { timestampOrNull } from './timestamp.ts';

export const registerKeys = (app: App): void => {
  app.openapi(routes.createKeyRoute, async (c) =>
    c.json(viewCreatedKey(await createKey(contextOf(c), keyInput(c.req.valid('json')))), 201),
  );

  app.openapi(routes.listKeysRoute, async (c) => {
    const { cursor, limit } = c.req.valid('query');
    const { keys, nextCursor } = await listKeys(contextOf(c), { cursor, limit });
    return c.json({ keys: keys.map(viewKey), nextCursor }, 200);
  });

  app.openapi(routes.revokeKeyRoute, async (c) =>
    c.json(viewKey(await revokeKey(contextOf(c), c.req.valid('param').keyId)), 200),
  );

  app.openapi(routes.getMeRoute, async (c) => {
    const ctx = contextOf(c);
    const { tenant, keyId, scopes, keyExpiresAtMs } = ctx.actor;
    const storageBytes = await getStoredBytes(ctx);
    return c.json(
      {
        tenant: { id: tenant.id, name: tenant.name, limits: viewLimits(tenant) },
        usage: { storageBytes },
        key: { id: keyId, scopes: [...scopes], expiresAt: timestampOrNull(keyExpiresAtMs) },
      },
      200,
    );
  });
};
