import { contextOf } from '../../../api/context.ts';
import { sandboxRefOf } from '../../../core/sandboxes/sandbox-ref.ts';
import type { EnvdRoute, Handled } from './route.ts';

/** The SDKs ask this to tell a sandbox that is gone (502) from a connection that broke. */
const health = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  await ctx.broker.metrics(sandboxRefOf(ctx, c.var.sandbox?.sandboxId ?? ''));
  return c.body(null, 204);
};

export const healthRoutes: readonly EnvdRoute[] = [
  { method: 'GET', path: '/health', access: 'anybody', handler: health },
];
