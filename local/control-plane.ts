/** The worker's real bundle in workerd, with local D1, R2 and Durable Objects. */
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { bundleWorker, type WorkerBundle } from './bundle.ts';
import type { Progress } from './command.ts';
import { applyMigrations } from './migrations.ts';
import { projectRoot } from './project.ts';
import { S3_PATH, type S3Gate } from './s3-gate.ts';

export interface ControlPlaneOptions {
  dataDir: string;
  /** The addresses that the worker listens on. */
  hosts: readonly string[];
  port: number;
  /** Vars and secrets; they outrank those of wrangler.toml. */
  vars: Record<string, string>;
  s3: S3Access;
  progress: Progress;
}

/** The way of presigned URLs. */
export interface S3Access {
  gate: S3Gate;
  /** How clients reach the gate. */
  host: string;
  accessKeyId: string;
  secretAccessKey: string;
}

type WorkerOptions = ReturnType<typeof convertV4MiniflareOptions>;

export interface ControlPlane {
  /** Ends workerd; open requests are cut. */
  stop(): Promise<void>;
  /** Starts it again with the same state, port and secrets. */
  start(): Promise<void>;
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const bundle = await bundleWorker(options.progress);
  const hosts = (await hasIPv6Loopback()) ? options.hosts : options.hosts.filter((host) => host !== '::1');
  const state = join(options.dataDir, 'state');
  await mkdir(state, { recursive: true, mode: 0o700 });
  // Both together in the environment: children that use Miniflare themselves (vitest's workers) inherit them.
  process.env['GLOVEBOX_WORKERD'] = workerdPath();
  process.env['MINIFLARE_WORKERD_PATH'] = join(projectRoot, 'local/workerd.sh');
  const log = createWriteStream(join(options.dataDir, 'control-plane.log'), { flags: 'a', mode: 0o600 });
  await once(log, 'open');
  let miniflare: Miniflare | undefined;
  const describe = (listenOn: readonly string[]) => describeWorker(bundle, state, options, listenOn, log);
  const stop = async () => {
    const running = miniflare;
    miniflare = undefined;
    options.s3.gate.forwardTo(undefined);
    await running?.dispose();
  };
  const start = async () => {
    if (miniflare) return;
    await migrate(describe([]), bundle, options.progress);
    miniflare = createMiniflare(describe(hosts));
    options.s3.gate.forwardTo(await miniflare.ready);
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop, start };
}

/** Before the worker serves: a workerd without its sockets applies what is missing. */
async function migrate(worker: WorkerOptions, bundle: WorkerBundle, progress: Progress): Promise<void> {
  const miniflare = createMiniflare(worker);
  try {
    for (const { binding, migrationsDir } of bundle.config.d1Databases) {
      const database = await miniflare.getD1Database(binding);
      const names = await applyMigrations(database, join(projectRoot, migrationsDir));
      if (names.length > 0) progress(`applied to ${binding}: ${names.join(', ')}`);
    }
  } finally {
    await miniflare.dispose();
  }
}

/** Miniflare ends the process at the first signal, before anything else could be stopped: its handlers are taken away. */
function createMiniflare(options: WorkerOptions): Miniflare {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const before = new Map(signals.map((signal) => [signal, process.rawListeners(signal)]));
  const miniflare = new Miniflare(options);
  for (const [signal, kept] of before) {
    for (const listener of process.rawListeners(signal)) {
      if (!kept.includes(listener)) process.removeListener(signal, listener as NodeJS.SignalsListener);
    }
  }
  return miniflare;
}

function describeWorker(
  bundle: WorkerBundle,
  state: string,
  options: ControlPlaneOptions,
  hosts: readonly string[],
  log: WriteStream,
): WorkerOptions {
  const { config, script } = bundle;
  const { accessKeyId, secretAccessKey } = options.s3;
  const root = join(projectRoot, 'node_modules/.cache/glovebox');
  return convertV4MiniflareOptions({
    name: config.name,
    modulesRoot: root,
    modules: [{ type: 'ESModule', path: join(root, 'index.js'), contents: script }],
    compatibilityDate: config.compatibilityDate,
    compatibilityFlags: config.compatibilityFlags,
    bindings: { ...config.vars, ...s3Vars(config.r2Buckets, options.s3), ...options.vars },
    d1Databases: Object.fromEntries(config.d1Databases.map(({ binding, id }) => [binding, id])),
    r2Buckets: Object.fromEntries(
      config.r2Buckets.map(({ binding, name }) => [
        binding,
        { id: name, s3Credentials: { accessKeyId, secretAccessKey } },
      ]),
    ),
    durableObjects: Object.fromEntries(
      config.durableObjects.map(({ binding, className }) => [binding, { className, useSQLite: true }]),
    ),
    // Miniflare's own socket serves R2 objects without a key and believes any CF-Connecting-IP, so it gets a random
    // loopback port that nobody is told of; clients reach the worker directly, and R2 through the S3 gate.
    host: '127.0.0.1',
    port: 0,
    unsafeDirectSockets: hosts.map((host) => ({ host, port: options.port })),
    resourcePersistencePath: state,
    telemetry: { enabled: false },
    cf: false,
    log: new StreamLog(log),
    unsafeRuntimeEnv: { GLOVEBOX_WORKERD_LOG: String(log.path) },
    // Of its standard error; the rest it writes by itself.
    handleStructuredLogs: ({ level, message }) => writeLine(log, level, message),
  });
}

/** In production they are secrets of the deployment. */
function s3Vars(buckets: WorkerBundle['config']['r2Buckets'], s3: S3Access): Record<string, string> {
  const urlOf = (wanted: string): string => {
    const bucket = buckets.find(({ binding }) => binding === wanted);
    if (!bucket) throw new Error(`wrangler.toml: the bucket ${wanted} is missing`);
    return `http://${s3.host}:${s3.gate.port}${S3_PATH}/${bucket.name}`;
  };
  return {
    R2_S3_URL: urlOf('ARTIFACTS'),
    R2_S3_SNAPSHOTS_URL: urlOf('SNAPSHOTS'),
    R2_S3_ACCESS_KEY_ID: s3.accessKeyId,
    R2_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
}

/** In the form of workerd's own lines. */
function writeLine(log: WriteStream, level: string, message: string): void {
  log.write(`${JSON.stringify({ timestamp: Date.now(), level, message })}\n`);
}

class StreamLog extends Log {
  readonly #stream: WriteStream;

  constructor(stream: WriteStream) {
    super(LogLevel.WARN);
    this.#stream = stream;
  }

  protected override log(message: string): void {
    writeLine(this.#stream, 'warn', message);
  }
}

function workerdPath(): string {
  // workerd's package exports the path of the platform's binary; Miniflare would take the same.
  return (createRequire(createRequire(import.meta.url).resolve('miniflare'))('workerd') as { default: string }).default;
}

async function hasIPv6Loopback(): Promise<boolean> {
  const addresses = await readFile('/proc/net/if_inet6', 'utf8').catch(() => '');
  return addresses.includes('00000000000000000000000000000001');
}
