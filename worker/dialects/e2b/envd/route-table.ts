import { composeRoute } from './files/compose.ts';
import { downloadRoute } from './files/download.ts';
import { uploadRoute } from './files/upload.ts';
import { entryRoutes } from './filesystem/entries.ts';
import { watchRoutes } from './filesystem/watches.ts';
import { healthRoutes } from './health.ts';
import { listRoute } from './process/list.ts';
import { startRoute } from './process/start.ts';
import type { EnvdRoute } from './route.ts';

/** All that a sandbox's envd surface answers; a test refuses duplicates. */
export const envdRoutes: readonly EnvdRoute[] = [
  ...healthRoutes,
  startRoute,
  listRoute,
  ...entryRoutes,
  ...watchRoutes,
  downloadRoute,
  uploadRoute,
  composeRoute,
];
