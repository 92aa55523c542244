import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { applyMigrations } from '../../../local/migrations.ts';
import { projectRoot } from '../../../local/project.ts';

export const joinToken = 'j'.repeat(40);
const CALL_MS = 30_000;

export interface StreamEvent {
  t?: string;
  fd?: number;
  o?: number;
  bytes?: { base64: string };
  exit?: { exitCode: number | null };
  droppedBytes?: number;
  error?: { code: string; message: string };
  events?: unknown[];
}

export interface TestControlPlane {
  url: string;
  /** The value, or throws CallFailed. */
  call<T>(port: 'broker' | 'fleet', method: string, ...args: unknown[]): Promise<T>;
  events(signal: AbortSignal, method: string, ...args: unknown[]): Promise<AsyncGenerator<StreamEvent>>;
  /** The bare response of a call whose answer or argument is bytes. */
  raw(method: string, args: unknown[], init?: RequestInit & { duplex?: 'half' }): Promise<Response>;
  sql(statement: string, ...values: unknown[]): Promise<Record<string, unknown>[]>;
  /** The same in the directory. */
  directorySql(statement: string, ...values: unknown[]): Promise<Record<string, unknown>[]>;
  bucket: Awaited<ReturnType<Miniflare['getR2Bucket']>>;
  stop(): Promise<void>;
}

export class CallFailed extends Error {
  readonly code: string;
  constructor(failure: { code: string; message: string; cause?: string }) {
    super(`${failure.code}: ${failure.message} (${failure.cause ?? 'no cause'})`);
    this.code = failure.code;
  }
}

/** The Durable Objects, adapters and /internal in workerd, as wrangler bundles them. */
export async function startTestControlPlane(redisUrl: string): Promise<TestControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), 'glovebox-durable-'));
  await bundle(folder);
  const script = await readFile(join(folder, 'worker.js'), 'utf8');
  const miniflare = new Miniflare(describe(folder, script, redisUrl));
  const cell = await miniflare.getD1Database('CELL_DB');
  await applyMigrations(cell, join(projectRoot, 'db/migrations/cell'));
  const directory = await miniflare.getD1Database('DIRECTORY_DB');
  await applyMigrations(directory, join(projectRoot, 'db/migrations/directory'));
  const sqlOf =
    (database: typeof cell): TestControlPlane['sql'] =>
    async (statement, ...values) =>
      (
        await database
          .prepare(statement)
          .bind(...values)
          .all()
      ).results;
  const url = (await miniflare.unsafeGetDirectURL()).origin;
  const header = (port: string, method: string, args: unknown[]) => ({
    'x-call': JSON.stringify({ port, method, args }),
  });
  return {
    url,
    call: async (port, method, ...args) => {
      const headers = header(port, method, args);
      const response = await fetch(url, { method: 'POST', headers, signal: AbortSignal.timeout(CALL_MS) });
      return valueOf(await response.json());
    },
    events: async (signal, method, ...args) => {
      const response = await fetch(url, { method: 'POST', headers: header('broker', method, args), signal });
      if (!response.ok || !response.body) return valueOf(await response.json());
      return readLines(response.body);
    },
    raw: (method, args, init) =>
      fetch(url, {
        method: 'POST',
        ...init,
        headers: { ...header('broker', method, args), ...(init?.headers as Record<string, string>) },
      }),
    sql: sqlOf(cell),
    directorySql: sqlOf(directory),
    bucket: await miniflare.getR2Bucket('ARTIFACTS'),
    stop: async () => {
      await miniflare.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function bundle(folder: string): Promise<void> {
  const wrangler = join(projectRoot, 'node_modules/wrangler/bin/wrangler.js');
  const args = [
    wrangler,
    'deploy',
    'test/durable/support/worker.ts',
    '--dry-run',
    '--outdir',
    folder,
    '--config',
    'wrangler.toml',
  ];
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_PATH: join(folder, 'log'), CI: 'true' };
  await promisify(execFile)(process.execPath, args, { cwd: projectRoot, env, timeout: 60_000 });
}

function describe(folder: string, script: string, redisUrl: string) {
  return convertV4MiniflareOptions({
    name: 'durable',
    modulesRoot: folder,
    modules: [{ type: 'ESModule', path: join(folder, 'worker.js'), contents: script }],
    compatibilityDate: '2026-10-01',
    compatibilityFlags: ['nodejs_compat'],
    bindings: {
      DEPLOYMENT: 'local',
      PUBLIC_URL: 'http://127.0.0.1',
      CELL: '00',
      BROKER_COUNT: '2',
      REDIS_URL: redisUrl,
      KEY_PEPPER: 'p'.repeat(40),
      ADMIN_API_KEY: 'a'.repeat(40),
      RUNNER_JOIN_TOKEN: joinToken,
    },
    d1Databases: { DIRECTORY_DB: 'directory', CELL_DB: 'cell' },
    r2Buckets: { ARTIFACTS: 'artifacts' },
    durableObjects: Object.fromEntries(
      ['Broker', 'Fleet', 'Transfer', 'Socket'].map((name) => [
        name.toUpperCase(),
        { className: name, useSQLite: true },
      ]),
    ),
    host: '127.0.0.1',
    port: 0,
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    telemetry: { enabled: false },
    cf: false,
    handleStructuredLogs: ({ level, message }) => {
      if (process.env['GLOVEBOX_TEST_LOG']) process.stderr.write(`${level} ${message}\n`);
    },
  });
}

/** The tests say what they called for. */
function valueOf(body: unknown): never {
  const { value, error } = body as { value: never; error?: { code: string; message: string } };
  if (error) throw new CallFailed(error);
  return value;
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    const parts = text.split('\n');
    text = parts.pop() ?? '';
    for (const part of parts) if (part !== '') yield JSON.parse(part) as StreamEvent;
  }
}
