/** `npm run demo`: the main job once, through the public API; exit status 0 if every step did what it should. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeRunning } from './holder.mjs';
import { startInstallation, type Installation } from './installation.ts';
import { LOCAL_ENV } from './local-env.ts';
import { readOptions } from './options.mjs';
import { ensureLocalKey } from './tenant.ts';

const REQUEST_DEADLINE_MS = 60_000;

interface Service {
  url: string;
  key: string;
}

interface ExecResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

async function request({ url, key }: Service, method: string, path: string, body?: object | string): Promise<Response> {
  const type = typeof body === 'string' ? 'application/octet-stream' : 'application/json';
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': type },
    body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  try {
    const result = await work();
    console.log(`✓ ${name.padEnd(44)} ${(performance.now() - startedAt).toFixed(1).padStart(8)} ms`);
    return result;
  } catch (error) {
    console.log(`✗ ${name}`);
    throw error;
  }
}

function expect(actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

async function tour(service: Service): Promise<void> {
  const csv = 'item,amount\napples,3\npears,4\nplums,35\n';
  const sum = `python3 -c "import csv; print(sum(int(r['amount']) for r in csv.DictReader(open('/workspace/in.csv'))))"`;
  const { id } = await step('create a sandbox', async () => {
    return (await (await request(service, 'POST', '/v1/sandboxes', { template: 'base' })).json()) as { id: string };
  });
  const exec = async (command: string) => {
    const result = (await (
      await request(service, 'POST', `/v1/sandboxes/${id}/exec`, { command })
    ).json()) as ExecResult;
    if (result.exitCode !== 0) throw new Error(`${command} ended with ${result.exitCode}: ${result.stderr}`);
    return result.stdout;
  };
  const content = (path: string) => `/v1/sandboxes/${id}/files/content?path=${encodeURIComponent(path)}`;
  try {
    await step('run a command', async () => expect(await exec('echo hello from $(whoami)'), 'hello from user\n'));
    await step('upload a file', () => request(service, 'PUT', content('/workspace/in.csv'), csv));
    await step('process it with Python', () => exec(`${sum} > /workspace/out.txt`));
    await step('read the result', async () => {
      expect(await (await request(service, 'GET', content('/workspace/out.txt'))).text(), '42\n');
    });
  } finally {
    await step('kill the sandbox', () => request(service, 'DELETE', `/v1/sandboxes/${id}`));
  }
}

async function readLocalEnv(dataDir: string): Promise<Service> {
  const content = await readFile(join(dataDir, LOCAL_ENV), 'utf8');
  const read = (name: string) => new RegExp(`^export ${name}='([^']*)'$`, 'm').exec(content)?.[1] ?? '';
  return { url: read('GLOVEBOX_URL'), key: read('GLOVEBOX_API_KEY') };
}

async function bringUp(): Promise<{ service: Service; installation: Installation }> {
  console.log('No Glovebox runs here: bringing one up for the demo.');
  const options = readOptions(process.argv.slice(2), process.env);
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort());
  const installation = await startInstallation({
    ...options,
    signal: abort.signal,
    progress: (line) => console.log(`  ${line}`),
  });
  try {
    const key = await ensureLocalKey(installation.url, installation.dataDir, installation.secrets);
    return { service: { url: installation.url, key }, installation };
  } catch (error) {
    await installation.stop();
    throw error;
  }
}

async function main(): Promise<void> {
  const { dataDir } = readOptions(process.argv.slice(2), process.env);
  if ((await describeRunning(dataDir)) !== undefined) return tour(await readLocalEnv(dataDir));
  const { service, installation } = await bringUp();
  try {
    await tour(service);
  } finally {
    await installation.stop();
  }
}

try {
  await main();
} catch (error) {
  console.error(`The demo failed: ${(error as Error).message}`);
  process.exit(1);
}
process.exit(0);
