import { lookup } from 'node:dns/promises';
import { mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { prepareAgentFolder } from './agent/bundle.ts';
import { createAgentSession } from './agent/host.ts';
import { within } from './clock.ts';
import { readConfig, type RunnerConfig } from './config.ts';
import { createControlPlane } from './control-plane.ts';
import { createDockerEngine } from './engine/docker.ts';
import type { ContainerEngine } from './engine/port.ts';
import { createLogger } from './log.ts';
import type { JoinAnswer } from './protocol/node-report.ts';
import { startRunner, type Runner } from './runner.ts';
import { probeCheckpoint } from './sandboxes/checkpoint-probe.ts';
import { probeRuntime } from './sandboxes/runtime-probe.ts';

/** The supervisor gives 30 s. */
const STOP_MS = 25_000;
/** The size of what the pool holds: the product's default. Others are fitted by the engine when claimed. */
const WARM_SIZE = { cpus: 2, memoryMiB: 512 };

const log = createLogger();
await main();

async function main(): Promise<void> {
  const starting = new AbortController();
  let runner: Runner | undefined;
  let stopping = false;
  const fatal = (error: Error) => {
    log.error('fatal', { error });
    process.exit(1); // sandboxes live on; the next life adopts them
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', (reason) => fatal(reason instanceof Error ? reason : new Error(String(reason))));
  const config = configOrExit();
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(130);
    stopping = true;
    starting.abort(new Error(signal));
    if (runner) void stop(runner, config.removeOnExit);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    runner = await startRunner(await compose(config, starting.signal, fatal));
  } catch (error) {
    if (!stopping) fatal(error instanceof Error ? error : new Error(String(error)));
    process.exit(0);
  }
  if (stopping) await stop(runner, config.removeOnExit);
}

function configOrExit(): RunnerConfig {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

async function stop(runner: Runner, remove: boolean): Promise<void> {
  try {
    await within(runner.stop(remove), STOP_MS, () => new Error(`not stopped within ${STOP_MS} ms`));
    log.info('stopped');
    process.exit(0);
  } catch (error) {
    log.error('stop_failed', { error: error instanceof Error ? error : new Error(String(error)) });
    process.exit(1);
  }
}

async function compose(config: RunnerConfig, signal: AbortSignal, onFatal: (error: Error) => void) {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await mkdir(join(config.dataDir, 's'), { recursive: true, mode: 0o700 });
  return {
    config,
    controlPlane: createControlPlane({ url: config.controlPlaneUrl, joinToken: config.joinToken, log }),
    openEngine: (joined: JoinAnswer) => openEngine(config, joined),
    openSession: async (socketDir: string) =>
      createAgentSession({ socketDir, log: (event, fields) => log.info(event, fields) }),
    probeCheckpoint,
    probeRuntime,
    warmSize: { ...WARM_SIZE, diskMiB: config.diskLimitMiB },
    onFatal,
    signal,
    log,
  };
}

async function openEngine(config: RunnerConfig, joined: JoinAnswer): Promise<ContainerEngine> {
  const agent = await prepareAgentFolder(config.dataDir);
  const denyAddresses = await Promise.all([joined.redisUrl, config.controlPlaneUrl].map(addressOf));
  return createDockerEngine({
    socketPath: config.dockerSocketPath,
    installationId: config.installationId,
    agent,
    runtime: config.runtime,
    ...(config.dns === undefined ? {} : { resolver: config.dns }),
    denyAddresses,
    log,
  });
}

/** What must not be reached from sandboxes even where it lies in a public range: address:port. */
async function addressOf(url: string): Promise<string> {
  const { hostname, port, protocol } = new URL(url);
  const bare = hostname.replace(/^\[|\]$/g, '');
  const address = isIP(bare) ? bare : (await lookup(bare, { family: 4 })).address;
  return `${address}:${port || defaultPorts[protocol] || ''}`;
}

const defaultPorts: Record<string, string> = { 'http:': '80', 'https:': '443', 'redis:': '6379', 'rediss:': '6379' };
