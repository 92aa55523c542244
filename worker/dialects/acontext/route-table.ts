import { artifactSearchRoutes } from './artifact-search.ts';
import { artifactTransferRoutes } from './artifact-transfers.ts';
import { artifactRoutes } from './artifacts.ts';
import { diskRoutes } from './disks.ts';
import { materialRoutes } from './material.ts';
import { pingRoutes } from './ping.ts';
import type { AcontextRoute } from './route.ts';
import { sandboxRoutes } from './sandboxes.ts';
import { skillRoutes } from './skills.ts';
import { userRoutes } from './users.ts';

/** Every route of the dialect, once. The app takes authentication, body bounds and Allow headers from it; a test refuses duplicates. */
export const acontextRoutes: readonly AcontextRoute[] = [
  ...pingRoutes,
  ...sandboxRoutes,
  ...diskRoutes,
  ...artifactRoutes,
  ...artifactSearchRoutes,
  ...artifactTransferRoutes,
  ...materialRoutes,
  ...userRoutes,
  ...skillRoutes,
];
