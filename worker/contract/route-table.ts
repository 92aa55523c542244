import type { RouteConfig } from '@hono/zod-openapi';
import { healthRoutes } from './health.ts';

/** Every route of the native API, once. The app takes body bounds and Allow headers from it; a test refuses duplicates. */
export const routeTable: readonly RouteConfig[] = Object.values(healthRoutes);
