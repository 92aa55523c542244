import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeptChild } from './child.ts';
import type { Progress } from './command.ts';
import { projectRoot } from './project.ts';

/** A drain waits for commands under way and removes every container; then the supervisor looks for what is left. */
const STOP_DEADLINE_MS = 30_000;

export interface RunnerOptions {
  controlPlaneUrl: string;
  joinToken: string;
  installationId: string;
  dataDir: string;
  socketPath: string;
  progress: Progress;
}

export interface RunnerService {
  /** Undefined while it is not running. */
  readonly pid: number | undefined;
  /** SIGKILL keeps it dead until start(); any other signal is only sent, and a runner that ends of it comes back. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Drains and removes its containers, then ends. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function createRunner(options: RunnerOptions): Promise<RunnerService> {
  const dataDir = join(options.dataDir, 'runner');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const child = new KeptChild({
    name: 'the runner',
    file: process.execPath,
    args: [join(projectRoot, 'runner/main.ts')],
    env: {
      ...process.env,
      DOCKER_HOST: `unix://${options.socketPath}`,
      GLOVEBOX_CONTROL_PLANE_URL: options.controlPlaneUrl,
      GLOVEBOX_DATA_DIR: dataDir,
      GLOVEBOX_INSTALLATION_ID: options.installationId,
      GLOVEBOX_JOIN_TOKEN: options.joinToken,
      GLOVEBOX_REMOVE_ON_EXIT: process.env['GLOVEBOX_REMOVE_ON_EXIT'] ?? '1',
      GLOVEBOX_RUNNER_NAME: 'local',
    },
    logFile: join(options.dataDir, 'runner.log'),
    stopDeadlineMs: STOP_DEADLINE_MS,
    progress: options.progress,
  });
  return {
    get pid() {
      return child.pid;
    },
    kill: (signal) => child.kill(signal),
    stop: () => child.stop(),
    start: () => child.start(),
  };
}
