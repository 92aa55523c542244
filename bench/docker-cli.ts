/** What it is compared with: the docker command on the same engine with the same image, nothing hardened, nothing limited. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type Docker from 'dockerode';

const LABEL = 'glovebox.bench';
const OWN_LABEL = `${LABEL}=${process.pid}`;
const COMMAND_DEADLINE_MS = 60_000;

export class DockerCli {
  readonly #docker: Docker;
  readonly #socketPath: string;
  readonly #image: string;
  #containerId: string | undefined;

  private constructor(docker: Docker, socketPath: string, image: string) {
    this.#docker = docker;
    this.#socketPath = socketPath;
    this.#image = image;
  }

  /** With a container that runs, for exec. */
  static async start(docker: Docker, socketPath: string, image: string): Promise<DockerCli> {
    const cli = new DockerCli(docker, socketPath, image);
    await cli.removeContainers();
    cli.#containerId = (await cli.#run(['run', '-d', '--label', OWN_LABEL, image, 'sleep', 'infinity'])).trim();
    return cli;
  }

  /** `docker run <image> echo ready` until the command has returned with its output; the container is removed untimed. */
  async timeRun(): Promise<number> {
    const name = `gbx-bench-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
    const startedAt = performance.now();
    const output = await this.#run(['run', '--name', name, '--label', OWN_LABEL, this.#image, 'echo', 'ready']);
    const elapsedMs = performance.now() - startedAt;
    if (output !== 'ready\n') throw new Error(`docker run printed ${JSON.stringify(output)}`);
    await this.#docker.getContainer(name).remove({ force: true, v: true });
    return elapsedMs;
  }

  /** `docker exec <container> true`, or another command, until it has returned. */
  async timeExec(command: readonly string[] = ['true']): Promise<number> {
    if (this.#containerId === undefined) throw new Error('start() was not called');
    const startedAt = performance.now();
    await this.#run(['exec', this.#containerId, ...command]);
    return performance.now() - startedAt;
  }

  /** This process's containers, and those that a benchmark left which was cut. */
  async removeContainers(): Promise<void> {
    this.#containerId = undefined;
    for (const { Id, Labels } of await this.#docker.listContainers({ all: true, filters: { label: [LABEL] } })) {
      const pid = Number(Labels[LABEL]);
      if (pid === process.pid || !isAlive(pid)) await this.#docker.getContainer(Id).remove({ force: true, v: true });
    }
  }

  async #run(args: readonly string[]): Promise<string> {
    const child = spawn('docker', ['-H', `unix://${this.#socketPath}`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: COMMAND_DEADLINE_MS,
    });
    let output = '';
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code}: ${complaint}`);
    return output;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // ESRCH: nobody has that pid
  }
}
