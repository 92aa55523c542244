import { z } from '@hono/zod-openapi';
import { updateNetwork } from '../../core/sandboxes/update-network.ts';
import { whileConflict } from '../../core/sandboxes/while-conflict.ts';
import { egressFields, egressOf } from './network.ts';
import { ofSandbox } from './of-sandbox.ts';
import { readJson } from './read-json.ts';
import type { E2bRoute } from './route.ts';

const updateInput = z.object({ ...egressFields, allow_internet_access: z.boolean().nullish() });

/** In place of all that it had: what is left out is cleared. E2B refuses it while a sandbox is paused. */
const update = ofSandbox(async (c, ctx, sandboxId) => {
  const { allow_internet_access: allowInternetAccess, ...network } = await readJson(c, updateInput);
  const egress = egressOf(network, allowInternetAccess);
  await whileConflict(ctx, () => updateNetwork(ctx, sandboxId, egress, { atRest: 'refused' }));
  return c.body(null, 204);
});

export const networkRoutes: readonly E2bRoute[] = [
  { method: 'PUT', path: '/sandboxes/{sandboxID}/network', body: 'optional-json', handler: update },
];
