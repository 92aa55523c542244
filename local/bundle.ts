/** The worker's production bundle as `wrangler deploy` would upload it, kept by the hash of what it is made of. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { runCommand, type Progress } from './command.ts';
import { projectRoot } from './project.ts';

const BUNDLE_DEADLINE_MS = 120_000;
const KEPT_BUNDLES = 4;
const CACHE = join(projectRoot, 'node_modules/.cache/glovebox');

/** Whatever the bundle may be made of; package-lock.json stands for node_modules. */
const SOURCES = ['worker', 'runner/protocol', 'db', 'wrangler.toml', 'package-lock.json'];

export interface WorkerBundle {
  script: string;
  config: WorkerConfig;
}

/** What wrangler.toml says, as far as the embedded default needs it. */
export interface WorkerConfig {
  name: string;
  compatibilityDate: string;
  compatibilityFlags: string[];
  vars: Record<string, string>;
  d1Databases: { binding: string; id: string; migrationsDir: string }[];
  r2Buckets: { binding: string; name: string }[];
  durableObjects: { binding: string; className: string }[];
}

/** The fields of wrangler's normalized configuration that we read; its own type does not reach us through its bundle. */
interface WranglerConfig {
  name?: string;
  compatibility_date?: string;
  compatibility_flags: string[];
  vars: Record<string, unknown>;
  d1_databases: { binding: string; database_id?: string; migrations_dir?: string }[];
  r2_buckets: { binding: string; bucket_name?: string }[];
  durable_objects: { bindings: { name: string; class_name: string }[] };
}

export async function bundleWorker(progress: Progress): Promise<WorkerBundle> {
  const folder = join(CACHE, await hashSources());
  const cached = await readBundle(folder);
  if (cached) return cached;
  progress('bundling the worker');
  const configPath = join(projectRoot, 'wrangler.toml');
  const work = join(CACHE, `work-${process.pid}-${crypto.randomUUID()}`);
  await mkdir(work, { recursive: true });
  try {
    const config = await readWorkerConfig(configPath);
    const wrangler = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js');
    await runCommand(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', work, '--config', configPath], {
      deadlineMs: BUNDLE_DEADLINE_MS,
      cwd: projectRoot,
      env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_PATH: join(work, 'log'), CI: 'true' },
    });
    await writeFile(join(work, 'config.json'), JSON.stringify(config));
    // The name is given to a whole bundle only; another process may have been quicker.
    await rename(work, folder).catch(async (error: unknown) => {
      if (!(await readBundle(folder))) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await dropOldBundles();
  const bundle = await readBundle(folder);
  if (!bundle) throw new Error('wrangler made no bundle of worker/index.ts');
  return bundle;
}

async function readBundle(folder: string): Promise<WorkerBundle | undefined> {
  const config = await readFile(join(folder, 'config.json'), 'utf8').catch(() => undefined);
  if (config === undefined) return undefined;
  const script = await readFile(join(folder, 'index.js'), 'utf8');
  return { script, config: JSON.parse(config) as WorkerConfig };
}

async function readWorkerConfig(configPath: string): Promise<WorkerConfig> {
  // Over a second to load, so only when there is something to bundle.
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const config: WranglerConfig = readConfig({ config: configPath });
  const missing = (what: string): never => {
    throw new Error(`wrangler.toml: ${what} is missing`);
  };
  return {
    name: config.name ?? missing('name'),
    compatibilityDate: config.compatibility_date ?? missing('compatibility_date'),
    compatibilityFlags: config.compatibility_flags,
    vars: Object.fromEntries(Object.entries(config.vars).map(([name, value]) => [name, String(value)])),
    d1Databases: config.d1_databases.map((database) => ({
      binding: database.binding,
      id: database.database_id ?? missing(`database_id of ${database.binding}`),
      migrationsDir: database.migrations_dir ?? missing(`migrations_dir of ${database.binding}`),
    })),
    r2Buckets: config.r2_buckets.map((bucket) => ({
      binding: bucket.binding,
      name: bucket.bucket_name ?? missing(`bucket_name of ${bucket.binding}`),
    })),
    durableObjects: config.durable_objects.bindings.map((object) => ({
      binding: object.name,
      className: object.class_name,
    })),
  };
}

async function hashSources(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(projectRoot, source);
    const files = (await stat(path)).isDirectory() ? await listFiles(path) : [path];
    for (const file of files) hash.update(`\0${file}\0`).update(await readFile(file));
  }
  return hash.digest('hex').slice(0, 16);
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && /\.(ts|json)$/.test(entry.name));
  return files.map((entry) => join(entry.parentPath, entry.name)).toSorted();
}

async function dropOldBundles(): Promise<void> {
  const names = (await readdir(CACHE)).filter((name) => /^[0-9a-f]{16}$/.test(name));
  const bundles = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(CACHE, name))).mtimeMs })));
  const old = bundles.toSorted((a, b) => b.at - a.at).slice(KEPT_BUNDLES);
  for (const { name } of old) await rm(join(CACHE, name), { recursive: true, force: true });
}
