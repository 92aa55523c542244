import { apiKeyRoutes } from './api-keys.ts';
import { logRoutes } from './logs.ts';
import { metricsRoutes } from './metrics.ts';
import { networkRoutes } from './network-update.ts';
import { pauseRoutes } from './pauses.ts';
import type { E2bRoute } from './route.ts';
import { sandboxListRoutes } from './sandbox-lists.ts';
import { sandboxRoutes } from './sandboxes.ts';
import { snapshotRoutes } from './snapshots.ts';
import { teamRoutes } from './teams.ts';
import { templateRoutes } from './templates.ts';
import { unservedRoutes } from './unserved.ts';

/**
 * Everything that the dialect's control plane answers, a fixed path before one with a parameter in its place. A test refuses duplicates
 * and paths that another surface has.
 */
export const e2bRoutes: readonly E2bRoute[] = [
  ...sandboxListRoutes,
  ...metricsRoutes,
  ...sandboxRoutes,
  ...pauseRoutes,
  ...networkRoutes,
  ...logRoutes,
  ...templateRoutes,
  ...teamRoutes,
  ...apiKeyRoutes,
  ...unservedRoutes,
  ...snapshotRoutes,
];
