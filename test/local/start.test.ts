/** `npm start` as a user meets it: real processes, a real engine, the real worker. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findFreePort } from '../../local/redis.ts';

const root = join(import.meta.dirname, '../..');
const START_DEADLINE_MS = 300_000;
const STOP_DEADLINE_MS = 60_000;

let dataDir: string;
let port: number;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'glovebox-start-'));
  port = await findFreePort();
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

interface Started {
  child: ChildProcess;
  printed: string;
  exited: Promise<number | null>;
}

/** Through npm, whose process gets the signals as a terminal's or a service manager's would. */
async function npmStart(): Promise<Started> {
  const args = ['start', '--silent', '--', '--port', String(port), '--data-dir', dataDir];
  const child = spawn('npm', args, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const fail = () => reject(new Error(`npm start did not become ready:\n${output}`));
    const deadline = setTimeout(fail, START_DEADLINE_MS);
    const onData = (chunk: Buffer) => {
      output += chunk.toString();
      if (!output.includes('Ctrl-C stops it.')) return;
      clearTimeout(deadline);
      resolve();
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    child.once('exit', () => {
      clearTimeout(deadline);
      fail();
    });
  });
  return { child, exited, printed: output };
}

async function readEnv(): Promise<Record<string, string>> {
  const lines = (await readFile(join(dataDir, 'local.env'), 'utf8')).trim().split('\n');
  return Object.fromEntries(
    lines.map((line) => /^export (\w+)='(.*)'$/.exec(line)?.slice(1, 3) ?? ['', '']) as [string, string][],
  );
}

async function api(
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const env = await readEnv();
  const response = await fetch(`${env['GLOVEBOX_URL']}${path}`, {
    method,
    headers: { authorization: `Bearer ${env['GLOVEBOX_API_KEY']}`, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

/** Whatever still carries the installation's mark: processes, containers, networks, firewall chains. */
async function findRemains(): Promise<string[]> {
  const { installationId } = JSON.parse(await readFile(join(dataDir, 'secrets.json'), 'utf8')) as {
    installationId: string;
  };
  const remains: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (command.includes(dataDir) || environment.includes(installationId)) remains.push(`process ${command}`);
  }
  const docker = new Docker();
  const filters = { label: [`glovebox.installation=${installationId}`] };
  for (const { Id } of await docker.listContainers({ all: true, filters })) remains.push(`container ${Id}`);
  for (const { Name } of await docker.listNetworks({ filters })) remains.push(`network ${Name}`);
  for (const program of ['iptables-save', 'ip6tables-save']) {
    const { stdout } = await promisify(execFile)(`/usr/sbin/${program}`);
    for (const line of stdout.split('\n')) if (line.includes(installationId)) remains.push(`${program}: ${line}`);
  }
  return remains;
}

/** The stopped installation's R2, which no route of the API reaches yet. */
async function withArtifacts<T>(
  work: (bucket: Awaited<ReturnType<Miniflare['getR2Bucket']>>) => Promise<T>,
): Promise<T> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: 'export default {}',
      compatibilityDate: '2026-10-01',
      r2Buckets: { ARTIFACTS: 'glovebox-artifacts' },
      resourcePersistencePath: join(dataDir, 'state'),
      telemetry: { enabled: false },
    }),
  );
  try {
    return await work(await miniflare.getR2Bucket('ARTIFACTS'));
  } finally {
    await miniflare.dispose();
  }
}

/** With `group` as a terminal does at Ctrl-C: npm and all that it runs get the signal. */
async function stopBy(started: Started, signal: NodeJS.Signals, group = false): Promise<void> {
  const deadline = new Promise<never>((_resolve, reject) => {
    setTimeout(() => reject(new Error(`still running after ${signal}`)), STOP_DEADLINE_MS).unref();
  });
  const pid = started.child.pid ?? 0;
  process.kill(group ? -pid : pid, signal);
  await Promise.race([started.exited, deadline]);
}

test(
  'start, refuse a second start, stop by SIGTERM to npm without remains, find the record again, stop by Ctrl-C',
  { timeout: 400_000 },
  async () => {
    const first = await npmStart();
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dataDir, 'local.env'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, 'secrets.json'))).mode & 0o777).toBe(0o600);
    const created = await api('POST', '/v1/sandboxes', { template: 'base' });
    expect(created.status).toBe(201);
    const path = `/v1/sandboxes/${String(created.body['id'])}`;
    const [, line = ''] = /^Try it:\n\n {2}(.+)$/m.exec(first.printed) ?? [];
    const pasted = await promisify(execFile)('sh', ['-c', line], { cwd: root, timeout: 30_000 });
    expect(pasted.stdout).toMatch(/uid=1000\(user\)|✓ kill the sandbox/);

    const second = spawn('npm', ['start', '--silent', '--', '--data-dir', dataDir], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let refusal = '';
    second.stderr.on('data', (chunk: Buffer) => (refusal += chunk.toString()));
    const [code] = (await once(second, 'close')) as [number | null];
    expect(code).toBe(1);
    expect(refusal).toContain(`Glovebox runs already in ${dataDir}: http://127.0.0.1:${port}`);

    await stopBy(first, 'SIGTERM');
    expect(await findRemains()).toEqual([]);

    await withArtifacts(async (bucket) => void (await bucket.put('kept', 'bytes')));

    const key = (await readEnv())['GLOVEBOX_API_KEY'];
    const again = await npmStart();
    try {
      expect((await readEnv())['GLOVEBOX_API_KEY']).toBe(key);
      expect((await api('GET', path)).status).toBe(200);
    } finally {
      await stopBy(again, 'SIGINT', true);
    }
    expect(await findRemains()).toEqual([]);
    expect(await withArtifacts(async (bucket) => (await bucket.get('kept'))?.text())).toBe('bytes');
  },
);
