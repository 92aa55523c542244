/** The Docker engine: found by ping, installed and started where none answers, stopped by its last user if we started it. */
import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { runCommand, type Progress } from './command.ts';
import { withMutex } from './mutex.ts';
import { exists, installPackages, systemdRuns, type PackageName } from './packages.ts';
import { findProcess, isAlive, type ProcessIdentity } from './process-identity.ts';

export const DEFAULT_SOCKET = '/var/run/docker.sock';

const PING_DEADLINE_MS = 3_000;
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 45_000;
const POLL_MS = 100;
const MUTEX_DEADLINE_MS = 15 * 60_000;

/** One file a user of the engine, and the engine itself if one of them started it. Gone after a reboot, as it should be. */
const REGISTER = '/run/glovebox/engine';
const STARTED = join(REGISTER, 'dockerd.json');

export interface Engine {
  docker: Docker;
  socketPath: string;
  /** The engine's own words on how it isolates, for the start-up report. */
  describe(): Promise<{ version: string; userNamespaces: boolean }>;
  /** Ends this process's use of the engine; stops it if Glovebox started it and nobody of us uses it any more. */
  release(): Promise<void>;
}

export interface EngineOptions {
  /** The socket that DOCKER_HOST names, if it is set: that engine is used as it is, and never started or stopped. */
  socketPath: string | undefined;
  logFile: string;
  progress: Progress;
}

export async function acquireEngine(options: EngineOptions): Promise<Engine> {
  const socketPath = options.socketPath ?? DEFAULT_SOCKET;
  const docker = new Docker({ socketPath });
  if (options.socketPath !== undefined) {
    if (!(await answers(docker))) throw new Error(`no Docker engine answers at DOCKER_HOST=unix://${socketPath}`);
    return createEngine(docker, socketPath, async () => undefined);
  }
  const reference = await withMutex('engine', MUTEX_DEADLINE_MS, async () => {
    await mkdir(REGISTER, { recursive: true, mode: 0o700 });
    if (!(await answers(docker))) await startEngine(docker, options);
    return addReference();
  });
  return createEngine(docker, socketPath, () => releaseReference(docker, reference, options.progress));
}

function createEngine(docker: Docker, socketPath: string, release: () => Promise<void>): Engine {
  const describe = async () => {
    const info = (await docker.info()) as { ServerVersion: string; SecurityOptions?: string[] };
    const userNamespaces = (info.SecurityOptions ?? []).some((option) => option.includes('userns'));
    return { version: info.ServerVersion, userNamespaces };
  };
  return { docker, socketPath, describe, release };
}

async function answers(docker: Docker): Promise<boolean> {
  const tooLate = sleep(PING_DEADLINE_MS, false, { ref: false });
  const answer = docker.ping().then(
    () => true,
    () => false,
  );
  return Promise.race([answer, tooLate]);
}

async function startEngine(docker: Docker, options: EngineOptions): Promise<void> {
  const { progress } = options;
  const dockerd = await findDockerd();
  if (dockerd === undefined) throw new Error('no Docker engine answers, and there is no dockerd to start');
  if (await systemdRuns()) {
    progress('starting the Docker engine with systemd');
    await runCommand('systemctl', ['start', 'docker'], { deadlineMs: START_DEADLINE_MS });
    await waitForAnswer(docker, async () => true, 'see `journalctl -u docker`');
    return;
  }
  await mountCgroups(progress);
  progress(`starting the Docker engine (log: ${options.logFile})`);
  const log = openSync(options.logFile, 'a', 0o600);
  // A session of its own: Ctrl-C in the terminal must reach the supervisor only, which then ends things in order.
  // Only with CRIU does the engine have a use for its experimental mode, and it looks for it in its own PATH.
  const criu = await findCriu();
  const child = spawn(dockerd, criu === undefined ? [] : ['--experimental'], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    env: criu === undefined ? process.env : { ...process.env, PATH: `${dirname(criu)}:${process.env['PATH'] ?? ''}` },
  });
  closeSync(log);
  child.on('error', () => undefined);
  const identity = child.pid === undefined ? undefined : await findProcess(child.pid);
  if (!identity) throw new Error(`dockerd could not be started (log: ${options.logFile})`);
  child.unref();
  await writeFile(STARTED, JSON.stringify(identity));
  await waitForAnswer(docker, () => isAlive(identity), `see ${options.logFile}`);
}

/** The Debian packages that an engine has to come from: none where one answers, or is installed and only not started. */
export async function findEnginePackages(socketPath: string | undefined): Promise<PackageName[]> {
  if (socketPath !== undefined || (await answers(new Docker({ socketPath: DEFAULT_SOCKET })))) return [];
  if (await findDockerd()) return [];
  const installed = await runCommand('dpkg-query', ['-W', '-f=${Package} ${db:Status-Status}\n'], {
    deadlineMs: 20_000,
  });
  const foreign = /^(docker-ce|containerd\.io) installed$/m.exec(installed)?.[1];
  if (foreign !== undefined) {
    throw new Error(
      `${foreign} is installed, but no Docker engine answers and there is no dockerd: install docker-ce and start it ` +
        '(Debian’s docker.io can’t live beside it)',
    );
  }
  const names: PackageName[] = ['docker.io'];
  if (await exists('/sys/kernel/security/apparmor')) names.push('apparmor');
  if (!(await systemdRuns()) && !(await hasCgroups())) names.push('cgroupfs-mount');
  return names;
}

async function findDockerd(): Promise<string | undefined> {
  for (const path of ['/usr/sbin/dockerd', '/usr/bin/dockerd', '/usr/local/bin/dockerd']) {
    if (await exists(path)) return path;
  }
  return undefined;
}

/** What CRIU_PATH names, else the first in PATH. */
async function findCriu(): Promise<string | undefined> {
  const given = process.env['CRIU_PATH'];
  if (given !== undefined && given !== '') {
    if (basename(given) === 'criu' && (await exists(given))) return given;
    throw new Error(`CRIU_PATH=${given} is no program named criu`);
  }
  for (const folder of (process.env['PATH'] ?? '').split(':').filter((entry) => entry.startsWith('/'))) {
    if (await exists(join(folder, 'criu'))) return join(folder, 'criu');
  }
  return undefined;
}

/** Without systemd, nobody may have mounted the control groups that containers are limited by. */
async function mountCgroups(progress: Progress): Promise<void> {
  if (await hasCgroups()) return;
  await installPackages(['cgroupfs-mount'], progress);
  await runCommand('cgroupfs-mount', [], { deadlineMs: 20_000 });
}

async function hasCgroups(): Promise<boolean> {
  return (await readdir('/sys/fs/cgroup').catch(() => [])).length > 0;
}

async function waitForAnswer(docker: Docker, lives: () => Promise<boolean>, hint: string): Promise<void> {
  const giveUpAt = performance.now() + START_DEADLINE_MS;
  while (!(await answers(docker))) {
    if (!(await lives())) throw new Error(`the Docker engine ended right after its start; ${hint}`);
    if (performance.now() > giveUpAt) throw new Error(`the Docker engine does not answer; ${hint}`);
    await sleep(POLL_MS);
  }
}

async function addReference(): Promise<string> {
  const self = await findProcess(process.pid);
  if (!self) throw new Error('/proc is not mounted');
  // A process may hold several installations (tests do), each a reference of its own.
  const path = join(REGISTER, `user-${self.pid}-${self.startTime}-${crypto.randomUUID()}`);
  await writeFile(path, '');
  return path;
}

function releaseReference(docker: Docker, reference: string, progress: Progress): Promise<void> {
  return withMutex('engine', MUTEX_DEADLINE_MS, async () => {
    await rm(reference, { force: true });
    const [used, started] = [await hasUsers(), await readStarted()];
    if (used || !started) return;
    const foreign = (await docker.listContainers()).filter((c) => c.Labels['glovebox.installation'] === undefined);
    if (foreign.length > 0) {
      progress(`the Docker engine that was started for Glovebox stays: ${foreign.length} other container(s) run on it`);
      return;
    }
    await stopEngine(started);
    await rm(STARTED, { force: true });
  });
}

/** Whether a live process still uses the engine; forgets those that died without a word. */
async function hasUsers(): Promise<boolean> {
  let found = false;
  for (const name of await readdir(REGISTER)) {
    const [, pid, startTime] = /^user-(\d+)-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || startTime === undefined) continue;
    if (await isAlive({ pid: Number(pid), startTime })) found = true;
    else await rm(join(REGISTER, name), { force: true });
  }
  return found;
}

async function readStarted(): Promise<ProcessIdentity | undefined> {
  const content = await readFile(STARTED, 'utf8').catch(() => undefined);
  if (content === undefined) return undefined;
  const identity = JSON.parse(content) as ProcessIdentity;
  return (await isAlive(identity)) ? identity : undefined;
}

async function stopEngine(started: ProcessIdentity): Promise<void> {
  process.kill(started.pid, 'SIGTERM');
  const giveUpAt = performance.now() + STOP_DEADLINE_MS;
  while (await isAlive(started)) {
    if (performance.now() > giveUpAt) {
      process.kill(started.pid, 'SIGKILL');
      throw new Error(`dockerd (pid ${started.pid}) did not stop in ${STOP_DEADLINE_MS / 1000} s and was killed`);
    }
    await sleep(POLL_MS);
  }
}
