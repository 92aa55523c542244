import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageTag } from '../../../local/images.ts';
import { inStreamName } from '../../../runner/protocol/ids.ts';
import type { SandboxSpec } from '../../../runner/protocol/jobs.ts';
import { waitFor } from '../../wait-for.ts';
import { startTestControlPlane, type TestControlPlane } from './control-plane.ts';
import { hex, newSandboxId, TestEdge } from './edge.ts';
import { sandboxSpec } from './harness.ts';
import { startTestRedis, type TestRedis } from './redis-server.ts';

/** A real node: runner/main.ts as a process of its own, the real engine, real agents. */
export interface TestNode {
  redis: TestRedis;
  plane: TestControlPlane;
  edge: TestEdge;
  installationId: string;
  dataDir: string;
  /** What the present life has logged. */
  log: () => string;
  pid: () => number | undefined;
  start(env?: Record<string, string>): Promise<void>;
  /** Resolves with the exit code once it is gone. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
  create(spec?: Partial<SandboxSpec>): Promise<string>;
  /** Resolves once the present life has found that checkpoints work; rejects with its reasons where they don't. */
  checkpoints(): Promise<void>;
  close(): Promise<void>;
}

const READY_MS = 60_000;
/** A probe takes a minute at most, and one that failed is tried again after half of one. */
const PROBED_MS = 160_000;

export async function startTestNode(env: Record<string, string> = {}): Promise<TestNode> {
  const redis = await startTestRedis();
  const plane = await startTestControlPlane(redis);
  const dataDir = await mkdtemp(join(tmpdir(), 'gbx-n-'));
  const installationId = hex(6);
  let child: ChildProcess | undefined;
  let output = '';
  const start = async (more: Record<string, string> = {}) => {
    output = '';
    const running = spawn(process.execPath, [join(import.meta.dirname, '../../../runner/main.ts')], {
      env: {
        PATH: process.env['PATH'],
        GLOVEBOX_CONTROL_PLANE_URL: plane.url,
        GLOVEBOX_JOIN_TOKEN: plane.joinToken,
        GLOVEBOX_INSTALLATION_ID: installationId,
        GLOVEBOX_DATA_DIR: dataDir,
        ...env,
        ...more,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = running;
    running.stdout.on('data', (chunk) => (output += String(chunk)));
    running.stderr.on('data', (chunk) => (output += String(chunk)));
    await waitFor(
      'the runner to be ready',
      () => {
        if (running.exitCode !== null) throw new Error(`the runner ended: ${output.slice(-3000)}`);
        return output.includes('"event":"ready"');
      },
      READY_MS,
    );
  };
  const stop = async (signal: NodeJS.Signals) => {
    const ending = child;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? null;
    const exited = new Promise<number | null>((resolve) => ending.once('exit', (code) => resolve(code)));
    ending.kill(signal);
    return exited;
  };
  await start();
  const boot = () => /"boot":"([0-9a-f]{32})"/.exec(output)?.[1] ?? '';
  const edge = new TestEdge(redis, plane.runnerId, () => inStreamName(plane.runnerId, boot()));
  await edge.start();
  return {
    redis,
    plane,
    edge,
    installationId,
    dataDir,
    log: () => output,
    pid: () => child?.pid,
    start,
    stop,
    create: async (spec = {}) => {
      const sandboxId = newSandboxId();
      const template = { name: 'base', image: imageTag('base') };
      const job = { revision: 1, spec: sandboxSpec({ template, ...spec }) };
      const last = (await edge.call('sandbox.create', { sandboxId }, job, 60_000)).at(-1);
      if (last?.t !== 'result') throw new Error(`create failed: ${JSON.stringify(last)} ${output.slice(-2000)}`);
      return sandboxId;
    },
    checkpoints: async () => {
      const ends = /.*checkpoints? (work here|was tried, and does not).*/;
      const tried = /.*a checkpoint was tried.*/g;
      const said = () => (output.match(tried) ?? []).join('\n');
      const line = await waitFor('the probe of checkpoints', () => ends.exec(output)?.[0], PROBED_MS).catch(
        (error: unknown) => {
          throw new Error(`${String(error)}: ${said()} ${output.slice(-3000)}`);
        },
      );
      if (!line.includes('work here')) throw new Error(said());
    },
    close: async () => {
      await stop('SIGKILL');
      // The next life finds what is left, and takes it away.
      await start({ GLOVEBOX_REMOVE_ON_EXIT: '1' });
      await stop('SIGTERM');
      await edge.close();
      await plane.close();
      await redis.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
