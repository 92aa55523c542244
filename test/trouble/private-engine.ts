/**
 * A Docker engine of a test's own, which it may stop: own state, own socket, and a network namespace of its own. The last is not
 * optional: a second dockerd beside the machine's rewrites its firewall chains, and with --bridge=none deletes its docker0.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { waitFor } from '../wait-for.ts';

const START_MS = 30_000;
const COPY_MS = 180_000;

const kill = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it was about to end by itself
  }
};

interface EngineSettings {
  liveRestore: boolean;
  /** With a `criu` in it the engine offers checkpoints, and containers may have a network: see runInNetwork. */
  criuFolder?: string;
  /** Beside runc, by name. The engine offers checkpoints then, as far as they can make them. */
  runtimes?: Record<string, { path: string; runtimeArgs: string[] }>;
}

export class PrivateEngine {
  readonly #folder: string;
  readonly docker: Docker;
  readonly socketPath: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.socketPath = join(folder, 'docker.sock');
    this.docker = new Docker({ socketPath: this.socketPath });
  }

  /** Short of images: see copyImages. */
  static async start(options: EngineSettings): Promise<PrivateEngine> {
    const engine = new PrivateEngine(await mkdtemp(join(tmpdir(), 'gbx-engine-')));
    await engine.launch(options).catch(async (error: unknown) => {
      await engine.remove();
      throw error;
    });
    return engine;
  }

  /** With live restore, containers outlive the engine; without, a stop takes them along. One that runs is left as it is. */
  async launch({ liveRestore, criuFolder, runtimes }: EngineSettings): Promise<void> {
    if (this.#process) return;
    const at = (name: string) => join(this.#folder, name);
    await writeFile(at('daemon.json'), JSON.stringify({ runtimes: runtimes ?? {} }));
    const experimental = criuFolder !== undefined || runtimes !== undefined;
    const log = openSync(at('log'), 'a');
    const child = spawn(
      'unshare',
      [
        '--net',
        // CRIU tries its means out on the loopback interface, which is down in a new namespace.
        ...(experimental ? ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh'] : []),
        'dockerd',
        ...(experimental ? ['--experimental'] : []),
        `--config-file=${at('daemon.json')}`,
        `--data-root=${at('data')}`,
        `--exec-root=${at('exec')}`,
        `--pidfile=${at('pid')}`,
        `--host=unix://${this.socketPath}`,
        '--bridge=none',
        `--iptables=${experimental}`,
        '--ip6tables=false',
        `--live-restore=${liveRestore}`,
      ],
      {
        stdio: ['ignore', log, log],
        env: criuFolder === undefined ? process.env : { ...process.env, PATH: `${criuFolder}:${process.env['PATH']}` },
      },
    );
    closeSync(log);
    child.on('error', () => undefined); // seen by the wait below
    this.#process = child;
    await waitFor('the private engine', async () => child.exitCode !== null || (await this.#answers()), START_MS, 100);
    if (child.exitCode !== null) throw new Error(`dockerd ended: ${(await readFile(at('log'), 'utf8')).slice(-2000)}`);
  }

  /** A program in the engine's network namespace, with the /sys that belongs to it; what it printed. */
  async runInNetwork(
    program: string,
    args: readonly string[],
    timeoutMs: number,
    more: Record<string, string> = {},
  ): Promise<string> {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the engine does not run');
    const groups = join(this.#folder, 'cgroup');
    const script = [
      `mkdir -p ${groups} && mount --rbind /sys/fs/cgroup ${groups}`,
      `mount -t sysfs sysfs /sys && mount --rbind ${groups} /sys/fs/cgroup`,
      'exec "$@"',
    ].join(' && ');
    const enter = [`--net=/proc/${pid}/ns/net`, 'unshare', '--mount', 'sh', '-c', script, 'sh', program, ...args];
    const env = { ...process.env, DOCKER_HOST: `unix://${this.socketPath}`, ...more };
    return (await promisify(execFile)('nsenter', enter, { env, timeout: timeoutMs })).stdout;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }

  /** Stops it and removes all that it made. Containers that live restore keeps have to be gone before. */
  async remove(): Promise<void> {
    await this.stop();
    for (const pid of await this.#listShims()) kill(pid);
    for (const mount of await this.#listMounts()) await promisify(execFile)('umount', [mount]);
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** From the machine's engine, by tags. */
  async copyImages(names: readonly string[]): Promise<void> {
    const save = spawn('docker', ['save', ...names], { stdio: ['ignore', 'pipe', 'inherit'], timeout: COPY_MS });
    const load = spawn('docker', ['-H', `unix://${this.socketPath}`, 'load'], {
      stdio: [save.stdout, 'ignore', 'inherit'],
      timeout: COPY_MS,
    });
    const [[saved], [loaded]] = (await Promise.all([once(save, 'exit'), once(load, 'exit')])) as [[number], [number]];
    if (saved !== 0 || loaded !== 0) throw new Error(`docker save ended with ${saved}, docker load with ${loaded}`);
  }

  /** An engine that is stopped while a container dies leaves that one's shim behind, and gVisor its kernel. They name this engine's folder. */
  async #listShims(): Promise<number[]> {
    const shims: number[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => ''); // it has ended meanwhile
      if (/containerd-shim|runsc-/.test(command) && command.includes(`${this.#folder}/`)) shims.push(Number(name));
    }
    return shims;
  }

  /** dockerd mounts its data on itself, containers that it lost theirs below; the innermost come first. */
  async #listMounts(): Promise<string[]> {
    const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
    return mounts.filter((mount) => mount.startsWith(`${this.#folder}/`)).toReversed();
  }

  #answers(): Promise<boolean> {
    return this.docker.ping().then(
      () => true,
      () => false,
    );
  }
}
