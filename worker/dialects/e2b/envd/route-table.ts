import { healthRoutes } from './health.ts';
import { listRoute } from './process/list.ts';
import { startRoute } from './process/start.ts';
import type { EnvdRoute } from './route.ts';

/** All that a sandbox's envd surface answers; a test refuses duplicates. */
export const envdRoutes: readonly EnvdRoute[] = [...healthRoutes, startRoute, listRoute];
