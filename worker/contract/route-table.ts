import type { RouteConfig } from '@hono/zod-openapi';
import { activityRoutes } from './activity.ts';
import { artifactTransferRoutes } from './artifact-transfers.ts';
import { artifactContentRoutes } from './artifact-contents.ts';
import { artifactSearchRoutes } from './artifact-search.ts';
import { artifactUploadRoutes } from './artifact-uploads.ts';
import { artifactUrlRoutes } from './artifact-urls.ts';
import { artifactRoutes } from './artifacts.ts';
import { commandRoutes } from './commands.ts';
import { diskRoutes } from './disks.ts';
import { documentationRoutes } from './documentation.ts';
import { fileContentRoutes, uploadRoutes } from './file-contents.ts';
import { fileWatcherRoutes } from './file-watchers.ts';
import { fileRoutes } from './files.ts';
import { healthRoutes } from './health.ts';
import { keyRoutes } from './keys.ts';
import { observationRoutes } from './observation.ts';
import { orphanRoutes } from './orphans.ts';
import { previewRoutes } from './previews.ts';
import { runnerRoutes } from './runners.ts';
import { processRoutes } from './processes.ts';
import { sandboxLifecycleRoutes } from './sandbox-lifecycle.ts';
import { sandboxRoutes } from './sandboxes.ts';
import { skillRoutes } from './skills.ts';
import { snapshotRoutes } from './snapshots.ts';
import { templateRoutes } from './templates.ts';
import { tenantRoutes } from './tenants.ts';
import { userRoutes } from './users.ts';

/** Every route of the native API, once. The app takes body bounds and Allow headers from it; a test refuses duplicates. */
export const routeTable: readonly RouteConfig[] = [
  ...sandboxRoutes,
  ...sandboxLifecycleRoutes,
  ...snapshotRoutes,
  ...observationRoutes,
  ...Object.values(commandRoutes),
  ...Object.values(processRoutes),
  ...Object.values(fileRoutes),
  ...Object.values(fileWatcherRoutes),
  ...Object.values(fileContentRoutes),
  ...Object.values(uploadRoutes),
  ...Object.values(previewRoutes),
  ...diskRoutes,
  ...artifactRoutes,
  ...Object.values(artifactContentRoutes),
  ...Object.values(artifactSearchRoutes),
  ...Object.values(artifactUrlRoutes),
  ...Object.values(artifactTransferRoutes),
  ...Object.values(artifactUploadRoutes),
  ...Object.values(skillRoutes),
  ...userRoutes,
  ...templateRoutes,
  ...keyRoutes,
  ...Object.values(activityRoutes),
  ...tenantRoutes,
  ...orphanRoutes,
  ...runnerRoutes,
  ...Object.values(healthRoutes),
  ...Object.values(documentationRoutes),
];
