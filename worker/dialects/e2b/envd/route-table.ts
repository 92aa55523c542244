import { composeRoute } from './files/compose.ts';
import { downloadRoute } from './files/download.ts';
import { uploadRoute } from './files/upload.ts';
import { entryRoutes } from './filesystem/entries.ts';
import { watchRoutes } from './filesystem/watches.ts';
import { observationRoutes } from './observation.ts';
import { processRoutes } from './process/routes.ts';
import type { EnvdRoute } from './route.ts';

/** All that a sandbox's envd surface answers; a test refuses duplicates. */
export const envdRoutes: readonly EnvdRoute[] = [
  ...observationRoutes,
  ...processRoutes,
  ...entryRoutes,
  ...watchRoutes,
  downloadRoute,
  uploadRoute,
  composeRoute,
];
