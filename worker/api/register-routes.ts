import type { App } from './app-env.ts';
import { registerArchive } from './archive.ts';
import { registerArtifactSearch } from './artifact-search.ts';
import { registerArtifactTransfers } from './artifact-transfers.ts';
import { registerCommands } from './commands.ts';
import { registerDocumentation } from './documentation.ts';
import { registerFileContents } from './file-contents.ts';
import { registerFiles } from './files.ts';
import { registerHealth } from './health.ts';
import { registerKeys } from './keys.ts';
import { registerMaterial } from './material.ts';
import { registerObservation } from './observation.ts';
import { registerProcesses } from './processes.ts';
import { registerSandboxes } from './sandboxes.ts';
import { registerTemplates } from './templates.ts';
import { registerTenants } from './tenants.ts';
import { registerUploads } from './uploads.ts';
import { registerWatch } from './watch.ts';

/** The native API, whole: what the app serves and what openapi.json is made from. */
export const registerRoutes = (app: App): void => {
  registerSandboxes(app);
  registerObservation(app);
  registerCommands(app);
  registerProcesses(app);
  registerFiles(app);
  registerFileContents(app);
  registerUploads(app);
  registerArchive(app);
  registerWatch(app);
  registerArtifactTransfers(app);
  registerArtifactSearch(app);
  registerMaterial(app);
  registerTemplates(app);
  registerKeys(app);
  registerTenants(app);
  registerHealth(app);
  registerDocumentation(app);
};
