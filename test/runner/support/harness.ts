import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../../runner/config.ts';
import { createControlPlane } from '../../../runner/control-plane.ts';
import { createLogger } from '../../../runner/log.ts';
import { inStreamName } from '../../../runner/protocol/ids.ts';
import type { ProcessSpec } from '../../../runner/protocol/process.ts';
import type { SandboxSpec } from '../../../runner/protocol/jobs.ts';
import { startRunner, type Runner, type RunnerParts } from '../../../runner/runner.ts';
import { startTestControlPlane, type TestControlPlane } from './control-plane.ts';
import { EngineDouble, SessionDouble } from './doubles.ts';
import { hex, newSandboxId, TestEdge } from './edge.ts';
import { startTestRedis, type TestRedis } from './redis-server.ts';

/** The whole runner on a real Redis under its real ACL user, with doubles of the engine's and the agent's ports. */
export interface Harness {
  redis: TestRedis;
  plane: TestControlPlane;
  edge: TestEdge;
  engine: EngineDouble;
  /** In the order in which they were opened. */
  sessions: SessionDouble[];
  logs: string[];
  fatal: Error[];
  dataDir: string;
  runner: Runner;
  /** Ends this life as kill -9 would (nothing is cleaned up), and begins the next. */
  crash(): Promise<void>;
  /** A running sandbox and its agent. */
  create(spec?: Partial<SandboxSpec>): Promise<{ sandboxId: string; session: SessionDouble }>;
  close(): Promise<void>;
}

export const sandboxSpec = (rest: Partial<SandboxSpec> = {}): SandboxSpec => ({
  template: { name: 'base', image: 'glovebox/base:latest' },
  network: 'off',
  egress: { allow: [], deny: [] },
  cpus: 2,
  memoryMiB: 512,
  env: { GREETING: 'hello' },
  deadlineMode: 'fixed',
  ttlMs: 300_000,
  pausedTtlMs: 600_000,
  onTimeout: 'kill',
  keepMemory: true,
  ...rest,
});

export const processSpec = (rest: Partial<ProcessSpec> = {}): ProcessSpec => ({
  processId: hex(16),
  command: { kind: 'shell', script: 'true', login: false },
  env: {},
  user: 'user',
  stdin: 'null',
  stdinEnds: false,
  ...rest,
});

export const attachment = { fromOffset: 0, creditBytes: 262_144, foreground: true, output: true };

const workingRuntime = { kind: undefined, freezes: true, reachesNetwork: true, keepsAttributes: true };

export async function startHarness(
  env: Record<string, string> = {},
  engine = new EngineDouble(),
  probeRuntime: RunnerParts['probeRuntime'] = async () => workingRuntime,
): Promise<Harness> {
  const redis = await startTestRedis();
  const plane = await startTestControlPlane(redis);
  const dataDir = await mkdtemp(join(tmpdir(), 'gbx-r-'));
  const sessions: SessionDouble[] = [];
  const agents = new Map<string, SessionDouble>();
  const logs: string[] = [];
  const fatal: Error[] = [];
  const config = readConfig({
    GLOVEBOX_CONTROL_PLANE_URL: plane.url,
    GLOVEBOX_JOIN_TOKEN: plane.joinToken,
    GLOVEBOX_INSTALLATION_ID: hex(6),
    GLOVEBOX_DATA_DIR: dataDir,
    GLOVEBOX_MEMORY_FLOOR_MIB: '0',
    ...env,
  });
  const log = createLogger((line) => logs.push(line));
  const begin = () =>
    startRunner({
      config,
      controlPlane: createControlPlane({ url: config.controlPlaneUrl, joinToken: config.joinToken, log }),
      openEngine: async () => engine,
      openSession: async (socketDir) => {
        const session = new SessionDouble(agents.get(socketDir));
        agents.set(socketDir, session);
        sessions.push(session);
        return session;
      },
      probeCheckpoint: async () => undefined,
      probeRuntime,
      warmSize: { cpus: 2, memoryMiB: 512, diskMiB: 1024 },
      onFatal: (error) => fatal.push(error),
      signal: new AbortController().signal,
      log,
    });
  let runner = await begin();
  const edge = new TestEdge(redis, plane.runnerId, () => inStreamName(runner.runnerId, runner.boot));
  await edge.start();
  const harness: Harness = {
    redis,
    plane,
    edge,
    engine,
    sessions,
    logs,
    fatal,
    dataDir,
    get runner() {
      return runner;
    },
    crash: async () => {
      await runner.stop(false);
      runner = await begin();
    },
    create: async (spec = {}) => {
      const sandboxId = newSandboxId();
      const events = await edge.call('sandbox.create', { sandboxId }, { revision: 1, spec: sandboxSpec(spec) });
      const last = events.at(-1);
      if (last?.t !== 'result') throw new Error(`create failed: ${JSON.stringify(last)}`);
      const session = sessions.at(-1);
      if (!session) throw new Error('no session was opened');
      return { sandboxId, session };
    },
    close: async () => {
      await runner.stop(false);
      await edge.close();
      await plane.close();
      await redis.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return harness;
}
