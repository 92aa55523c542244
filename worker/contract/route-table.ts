import type { RouteConfig } from '@hono/zod-openapi';
import { commandRoutes } from './commands.ts';
import { fileContentRoutes, uploadRoutes } from './file-contents.ts';
import { fileRoutes } from './files.ts';
import { healthRoutes } from './health.ts';
import { processRoutes } from './processes.ts';

/** Every route of the native API, once. The app takes body bounds and Allow headers from it; a test refuses duplicates. */
export const routeTable: readonly RouteConfig[] = [
  ...Object.values(healthRoutes),
  ...Object.values(commandRoutes),
  ...Object.values(processRoutes),
  ...Object.values(fileRoutes),
  ...Object.values(fileContentRoutes),
  ...Object.values(uploadRoutes),
];
