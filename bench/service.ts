/** The service under test: the one that GLOVEBOX_URL names, the one that runs here, or one brought up for the occasion. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { startInstallation, type Installation } from '../local/installation.ts';
import { projectRoot } from '../local/project.ts';
import { Client } from './client.ts';

const HEALTH_DEADLINE_MS = 2_000;
/** So that no quota is measured instead of the service. */
const TENANT_LIMITS = {
  maxSandboxes: 512,
  maxCpus: 1024,
  maxMemoryMiB: 512 * 1024,
  requestsPerSecond: 10_000,
};

export interface Service {
  url: string;
  apiKey: string;
  /** undefined: unknown; then the pool's size is left as it is. */
  adminKey: string | undefined;
  /** undefined: not of this machine, or unknown; then what needs the host's side is left out. */
  installationId: string | undefined;
  /** Only if it was brought up here. */
  own: Installation | undefined;
  stop(): Promise<void>;
}

export async function findService(progress: (line: string) => void): Promise<Service> {
  const { GLOVEBOX_URL: url, GLOVEBOX_API_KEY: apiKey } = process.env;
  if (url !== undefined && apiKey !== undefined) return useRunning(url, apiKey, process.env['GLOVEBOX_DATA_DIR']);
  const dataDir = join(projectRoot, '.glovebox');
  const settings = parseEnv(await readFile(join(dataDir, 'local.env'), 'utf8').catch(() => ''));
  const local = { url: settings['GLOVEBOX_URL'], apiKey: settings['GLOVEBOX_API_KEY'] };
  if (local.url !== undefined && local.apiKey !== undefined && (await isHealthy(local.url))) {
    return useRunning(local.url, local.apiKey, dataDir);
  }
  return bringUp(progress);
}

async function useRunning(url: string, apiKey: string, dataDir: string | undefined): Promise<Service> {
  const content =
    dataDir === undefined ? undefined : await readFile(join(dataDir, 'secrets.json'), 'utf8').catch(() => undefined);
  const stop = () => Promise.resolve();
  if (content === undefined)
    return { url, apiKey, adminKey: undefined, installationId: undefined, own: undefined, stop };
  const secrets = JSON.parse(content) as { installationId: string; adminApiKey: string };
  const key = await createKey(url, secrets.adminApiKey);
  const { installationId, adminApiKey: adminKey } = secrets;
  return { url, apiKey: key, adminKey, installationId, own: undefined, stop };
}

async function bringUp(progress: (line: string) => void): Promise<Service> {
  progress('no service runs: bringing one up for the benchmark');
  const dataDir = await mkdtemp(join(tmpdir(), 'gbx-bench-'));
  const remove = () => rm(dataDir, { recursive: true, force: true });
  const own = await startInstallation({ dataDir, progress }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  const stop = async () => {
    await own.stop();
    await remove();
  };
  const apiKey = await createKey(own.url, own.adminKey).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url: own.url, apiKey, adminKey: own.adminKey, installationId: own.secrets.installationId, own, stop };
}

async function createKey(url: string, adminKey: string): Promise<string> {
  const admin = new Client(url, adminKey, 1);
  try {
    return await admin.createTenant(`bench-${process.pid}`, TENANT_LIMITS);
  } finally {
    await admin.close();
  }
}

async function isHealthy(url: string): Promise<boolean> {
  const answer = fetch(`${url}/healthz`, { signal: AbortSignal.timeout(HEALTH_DEADLINE_MS) });
  return answer.then(
    (response) => response.ok,
    () => false,
  );
}
