import { createBroker } from './adapters/broker.ts';
import { createFleet, pokeFleet } from './adapters/fleet.ts';
import { createObjectStore, createSnapshotStore } from './adapters/object-store.ts';
import type { App, Log } from './api/app-env.ts';
import { createApp } from './app.ts';
import { SandboxAccesses } from './core/access/sandbox-access.ts';
import { MemoryBudget } from './core/artifacts/memory-budget.ts';
import { Keyring } from './core/keys/keyring.ts';
import { Signer } from './core/keys/signer.ts';
import { SnapshotKeys } from './core/snapshots/snapshot-keys.ts';
import { TemplateCatalog } from './core/templates/template-catalog.ts';
import { OwnCredentials } from './core/traffic/credentials.ts';
import { openCell, openDirectory } from '../db/client.ts';
import { settingsOf, type Env } from './env.ts';
import { createInternalApp } from './internal/app.ts';

export { Broker } from './durable/broker/broker.ts';
export { Fleet } from './durable/fleet.ts';
export { Socket } from './durable/socket.ts';
export { Transfer } from './durable/transfer.ts';

/** Of an isolate's 128 MB, what bodies that are held in memory may take together: uploads of unknown length, contents that are searched or parsed. */
const BODY_MEMORY_BYTES = 48 * 1024 * 1024;

const log: Log = (entry) => {
  // oxlint-disable-next-line no-console -- the runtime's log is the console
  console.log(JSON.stringify(entry));
};

interface Surfaces {
  env: Env;
  api: App;
  internal: { fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> };
}

let surfaces: Surfaces | undefined;

/** Once per isolate: none of it holds what belongs to a request. */
const surfacesOf = (env: Env): Surfaces => {
  if (surfaces?.env === env) return surfaces;
  const settings = settingsOf(env);
  const signer = new Signer(settings.KEY_PEPPER);
  const api = createApp({
    services: {
      directory: openDirectory(env.DIRECTORY_DB),
      cell: openCell(env.CELL_DB),
      broker: createBroker(env, settings),
      fleet: createFleet(env, settings),
      keyring: new Keyring(settings.KEY_PEPPER),
      templates: new TemplateCatalog(),
      accesses: new SandboxAccesses(),
      objects: createObjectStore(env, settings),
      snapshotObjects: createSnapshotStore(env, settings),
      snapshotKeys: new SnapshotKeys(settings.KEY_PEPPER),
      bodyMemory: new MemoryBudget(BODY_MEMORY_BYTES),
      signer,
      ownCredentials: new OwnCredentials(signer, settings.ADMIN_API_KEY),
      cellId: settings.CELL,
      publicUrl: settings.PUBLIC_URL.replace(/\/+$/, ''),
      sandboxDomain: settings.SANDBOX_DOMAIN,
      now: () => Date.now(),
    },
    adminApiKey: settings.ADMIN_API_KEY,
    localPublicUrl: settings.DEPLOYMENT === 'local' ? settings.PUBLIC_URL : null,
    localTenantName: settings.DEPLOYMENT === 'local' ? (settings.LOCAL_TENANT_NAME ?? null) : null,
    log,
  });
  surfaces = { env, api, internal: createInternalApp(env, settings) };
  return surfaces;
};

export default {
  fetch(request, env, ctx) {
    const { api, internal } = surfacesOf(env);
    const isInternal = new URL(request.url).pathname.startsWith('/internal/');
    return isInternal ? internal.fetch(request, env, ctx) : api.fetch(request, env, ctx);
  },
  /** Fleet sweeps by its own alarms; this makes sure that it has been awake. */
  async scheduled(_controller, env) {
    await pokeFleet(env, settingsOf(env));
  },
} satisfies ExportedHandler<Env>;
