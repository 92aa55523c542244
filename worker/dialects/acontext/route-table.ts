import type { AcontextRoute } from './route.ts';
import { pingRoutes } from './ping.ts';
import { sandboxRoutes } from './sandboxes.ts';

/** Every route of the dialect, once. The app takes authentication, body bounds and Allow headers from it; a test refuses duplicates. */
export const acontextRoutes: readonly AcontextRoute[] = [...pingRoutes, ...sandboxRoutes];
