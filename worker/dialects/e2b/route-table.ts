import type { E2bRoute } from './route.ts';
import { pauseRoutes } from './pauses.ts';
import { sandboxListRoutes } from './sandbox-lists.ts';
import { sandboxRoutes } from './sandboxes.ts';

/** Everything that the dialect's control plane answers; a test refuses duplicates and paths that another surface has. */
export const e2bRoutes: readonly E2bRoute[] = [...sandboxListRoutes, ...sandboxRoutes, ...pauseRoutes];
