/** A whole Glovebox on this machine: Redis, control plane, runner. `npm start` runs one, tests run their own. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from './command.ts';
import { startControlPlane, type ControlPlane } from './control-plane.ts';
import { acquireEngine, findEnginePackages, type Engine } from './engine.ts';
import { describeRunning, installationMutex } from './holder.mjs';
import { ensureImages } from './images.ts';
import { removeLeftovers } from './leftovers.ts';
import { keepLogsBounded } from './logs.ts';
import { tryHold } from './mutex.ts';
import { isLoopback } from './options.mjs';
import { installPackages, type PackageName } from './packages.ts';
import { checkRedis, findFreePort, startRedis, type RedisService } from './redis.ts';
import { createRunner, type RunnerService } from './runner.ts';
import { startS3Gate } from './s3-gate.ts';
import { loadSecrets, type Secrets } from './secrets.ts';
import { LOCAL_TENANT_NAME } from './tenant.ts';

const READY_DEADLINE_MS = 60_000;
const READY_REQUEST_DEADLINE_MS = 5_000;
const POLL_MS = 50;
/** Broker Durable Objects on one machine: two cores' worth. */
const BROKER_COUNT = '2';

export interface InstallationOptions {
  /** Made (0700) if it isn't there. One installation at a time runs in it. */
  dataDir: string;
  /** Default: a free one. */
  port?: number | undefined;
  /** One address instead of 127.0.0.1 and ::1. */
  bind?: string | undefined;
  /** A Redis that is there already, instead of one of our own. */
  redisUrl?: string | undefined;
  /** Whose sub-domains are sandboxes' ports. Default: sandbox.localhost:<port>, which browsers and curl resolve by themselves. */
  sandboxDomain?: string | undefined;
  /** The Unix socket of an engine that is there already, instead of finding or starting one. */
  dockerSocket?: string | undefined;
  progress?: Progress | undefined;
  /** Checked between the steps: an abort undoes what was started, and rejects. */
  signal?: AbortSignal | undefined;
}

export interface Installation {
  url: string;
  adminKey: string;
  dataDir: string;
  secrets: Secrets;
  engine: Engine;
  redis: RedisService;
  controlPlane: ControlPlane;
  runner: RunnerService;
  /** Resolves once GET /readyz is 200; rejects after a minute with what it said last. */
  waitUntilReady(): Promise<void>;
  /** Stops everything, last started first; nothing of the installation is left running. Safe to call twice. */
  stop(): Promise<void>;
}

export class AlreadyRunning extends Error {}

type Cleanup = () => Promise<unknown>;

/** Brings up an installation and waits until it is ready. What fails on the way is undone before this throws. */
export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const cleanups: Cleanup[] = [];
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= runCleanups(cleanups));
  try {
    const installation = await bringUp(options, cleanups, stop);
    await installation.waitUntilReady();
    return installation;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function runCleanups(cleanups: Cleanup[]): Promise<void> {
  const failures: unknown[] = [];
  for (const cleanup of cleanups.toReversed()) {
    try {
      await cleanup();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'not everything could be stopped');
}

async function bringUp(options: InstallationOptions, cleanups: Cleanup[], stop: Cleanup): Promise<Installation> {
  const progress = options.progress ?? (() => undefined);
  const proceed = () => options.signal?.throwIfAborted();
  const secrets = await loadSecrets(options.dataDir);
  const dataDir = await realpath(options.dataDir);
  const port = options.port ?? (await findFreePort());
  const url = `http://${reachableHost(options.bind)}:${port}`;
  cleanups.push(await holdDataDir(dataDir, url));
  const logs = keepLogsBounded(dataDir, progress);
  cleanups.push(async () => logs.stop());
  const engine = await provision({ ...options, dataDir, progress });
  cleanups.push(() => engine.release());
  proceed();

  const redis = await (options.redisUrl === undefined
    ? startRedis({ dataDir, password: secrets.redisPassword, progress })
    : useRedis(options.redisUrl));
  if (options.redisUrl === undefined) cleanups.push(() => redis.stop());
  proceed();

  const gate = await startS3Gate(options.bind ?? '127.0.0.1');
  cleanups.push(() => gate.stop());
  const controlPlane = await startControlPlane({
    dataDir,
    hosts: options.bind === undefined ? ['127.0.0.1', '::1'] : [options.bind],
    port,
    vars: {
      DEPLOYMENT: 'local',
      PUBLIC_URL: url,
      SANDBOX_DOMAIN: options.sandboxDomain ?? `sandbox.localhost:${port}`,
      BROKER_COUNT,
      REDIS_URL: redis.url,
      KEY_PEPPER: secrets.keyPepper,
      ADMIN_API_KEY: secrets.adminApiKey,
      RUNNER_JOIN_TOKEN: secrets.runnerJoinToken,
      // Whose key the published one of Acontext's documents is: nobody's where other machines reach the API.
      ...(options.bind === undefined || isLoopback(options.bind) ? { LOCAL_TENANT_NAME } : {}),
    },
    s3: {
      gate,
      host: reachableHost(options.bind),
      accessKeyId: secrets.s3AccessKeyId,
      secretAccessKey: secrets.s3SecretAccessKey,
    },
    progress,
  });
  cleanups.push(() => controlPlane.stop());
  proceed();

  const { installationId, runnerJoinToken: joinToken } = secrets;
  const { docker, socketPath } = engine;
  const runner = await createRunner({ controlPlaneUrl: url, joinToken, installationId, dataDir, socketPath, progress });
  cleanups.push(async () => {
    await runner.stop();
    const left = await removeLeftovers(docker, installationId);
    if (left.length > 0) progress(`removed what the runner had left: ${left.join(', ')}`);
  });
  await runner.start();
  const waitUntilReady = () => waitForReadiness(url, dataDir, options.signal);
  const adminKey = secrets.adminApiKey;
  return {
    url,
    adminKey,
    dataDir,
    secrets,
    engine,
    redis,
    controlPlane,
    runner,
    waitUntilReady,
    stop: async () => void (await stop()),
  };
}

/** What an installation needs of the machine: packages, a Docker engine, the images. Release the engine at the end. */
export async function provision(
  options: Pick<InstallationOptions, 'redisUrl' | 'dockerSocket'> & { dataDir: string; progress: Progress },
): Promise<Engine> {
  const { progress, dockerSocket } = options;
  const names: PackageName[] = ['iptables', 'tini', ...(await findEnginePackages(dockerSocket))];
  if (options.redisUrl === undefined) names.push('redis-server');
  await installPackages(names, progress);
  const logFile = join(options.dataDir, 'dockerd.log');
  const engine = await acquireEngine({ socketPath: dockerSocket, logFile, progress });
  try {
    await ensureImages(engine.docker, progress);
  } catch (error) {
    await engine.release();
    throw error;
  }
  return engine;
}

async function holdDataDir(dataDir: string, url: string): Promise<Cleanup> {
  const held = await tryHold(installationMutex(dataDir), () => JSON.stringify({ pid: process.pid, url }));
  if (held) return () => held.release();
  throw new AlreadyRunning(await describeRunning(dataDir));
}

async function useRedis(url: string): Promise<RedisService> {
  await checkRedis(url);
  const refuse = () => Promise.reject(new Error('the Redis at REDIS_URL is not ours to start or stop'));
  return { url, pid: undefined, stop: refuse, start: refuse };
}

async function waitForReadiness(url: string, dataDir: string, signal: AbortSignal | undefined): Promise<void> {
  const giveUpAt = performance.now() + READY_DEADLINE_MS;
  for (;;) {
    signal?.throwIfAborted();
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(READY_REQUEST_DEADLINE_MS) }).then(
      async (response) => (response.ok ? undefined : `${response.status} ${(await response.text()).slice(0, 500)}`),
      (error: unknown) => (error as Error).message,
    );
    if (answer === undefined) return;
    if (performance.now() > giveUpAt) {
      throw new Error(
        `not ready after ${READY_DEADLINE_MS / 1000} s: GET /readyz answers ${answer}; the logs in ${dataDir} say why`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** The host that this machine itself reaches the service by. */
function reachableHost(bind: string | undefined): string {
  if (bind === undefined || bind === '0.0.0.0') return '127.0.0.1';
  if (bind === '::') return '[::1]';
  return bind.includes(':') ? `[${bind}]` : bind;
}
