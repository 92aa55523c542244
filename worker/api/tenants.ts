import * as routes from '../contract/tenants.ts';
import { changeTenant, createTenant, createTenantKey, getTenant, listTenants } from '../core/tenants/tenants.ts';
import type { App } from './app-env.ts';
import { adminContextOf } from './context.ts';
import { keyInput, viewCreatedKey, viewLimits } from './key-view.ts';
import { timestampOf, timestampOrNull } from './timestamp.ts';

const viewTenant = (tenant: Awaited<ReturnType<typeof getTenant>>) => ({
  id: tenant.id,
  name: tenant.name,
  limits: viewLimits(tenant),
  createdAt: timestampOf(tenant.createdAtMs),
  suspendedAt: timestampOrNull(tenant.suspendedAtMs),
});

/** The administrator's: the middleware lets only the admin key come this far. */
export const registerTenants = (app: App): void => {
  app.openapi(routes.createTenantRoute, async (c) =>
    c.json(viewTenant(await createTenant(adminContextOf(c), c.req.valid('json'))), 201),
  );

  app.openapi(routes.listTenantsRoute, async (c) => {
    const { cursor, limit } = c.req.valid('query');
    const { tenants, nextCursor } = await listTenants(adminContextOf(c), { cursor, limit });
    return c.json({ tenants: tenants.map(viewTenant), nextCursor }, 200);
  });

  app.openapi(routes.getTenantRoute, async (c) =>
    c.json(viewTenant(await getTenant(adminContextOf(c), c.req.valid('param').tenantId)), 200),
  );

  app.openapi(routes.changeTenantRoute, async (c) => {
    const { name, limits, suspended } = c.req.valid('json');
    const change = { name, limits, suspended };
    return c.json(viewTenant(await changeTenant(adminContextOf(c), c.req.valid('param').tenantId, change)), 200);
  });

  app.openapi(routes.createTenantKeyRoute, async (c) => {
    const input = keyInput(c.req.valid('json'));
    return c.json(viewCreatedKey(await createTenantKey(adminContextOf(c), c.req.valid('param').tenantId, input)), 201);
  });
};
