import { healthRoutes } from '../contract/health.ts';
import { findNotReady } from '../core/readiness.ts';
import type { App } from './app-env.ts';
import { adminContextOf } from './context.ts';

export const registerHealth = (app: App): void => {
  app.openapi(healthRoutes.healthz, (c) => c.json({ status: 'ok' as const }, 200));
  app.openapi(healthRoutes.health, (c) => c.json({ code: 0 as const, msg: 'ok' as const }, 200));
  app.openapi(healthRoutes.readyz, async (c) => {
    const notReady = await findNotReady(adminContextOf(c));
    if (notReady.length === 0) return c.json({ status: 'ready' as const, notReady }, 200);
    return c.json({ status: 'not_ready' as const, notReady }, 503);
  });
};
