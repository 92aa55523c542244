import { readFile } from 'node:fs/promises';
import { RunnerError } from '../protocol/errors.ts';
import { locateCgroup, type CgroupPaths } from './cgroup.ts';
import { diskLabel } from './container-spec.ts';
import { engineStatus, type DockerClient } from './docker-client.ts';

/** Where the host keeps what a running container uses. Fixed for a container's life. */
export interface ContainerFacts {
  containerId: string;
  /** Of its first process, in the host's numbers. */
  pid: number;
  cgroup: CgroupPaths;
  /** IPv4, on the installation's bridge; undefined with the network off. Kept for as long as it runs. */
  address: string | undefined;
  /** Where what its programs change of the image lies, on drivers that tell. */
  layer: string | undefined;
  /** Where the engine has the container's file system mounted, on drivers that tell. */
  merged: string | undefined;
  /** What the container can write to disk: its layer, its /etc/hosts and the like, an image's volumes. */
  writablePaths: string[];
  diskLimitBytes: number;
}

/** Asks the engine once per container and remembers. */
export class ContainerFactsCache {
  readonly #docker: DockerClient;
  readonly #known = new Map<string, ContainerFacts>();

  constructor(docker: DockerClient) {
    this.#docker = docker;
  }

  /** Throws sandbox_not_running when it is gone or has ended. */
  async get(containerId: string): Promise<ContainerFacts> {
    const known = this.#known.get(containerId);
    if (known !== undefined) return known;
    const facts = await this.#read(containerId);
    this.#known.set(containerId, facts);
    return facts;
  }

  /** All that were asked for and are not forgotten. */
  known(): Iterable<ContainerFacts> {
    return this.#known.values();
  }

  forget(containerId: string): void {
    this.#known.delete(containerId);
  }

  async #read(containerId: string): Promise<ContainerFacts> {
    const found = await this.#docker
      .getContainer(containerId)
      .inspect()
      .catch((cause: unknown) => {
        if (engineStatus(cause) === 404)
          throw new RunnerError('sandbox_not_running', 'The container is gone.', { cause });
        throw new RunnerError('engine_failed', 'The container engine did not answer.', { cause });
      });
    const pid = found.State.Pid;
    if (pid === 0) throw new RunnerError('sandbox_not_running', 'The container has ended.');
    const [membership, mountinfo] = await Promise.all([
      readFile(`/proc/${pid}/cgroup`, 'utf8'),
      readFile('/proc/self/mountinfo', 'utf8'),
    ]);
    // CRIU puts what it restores into the group that it is told: what were in another one would have no limits.
    if (!membership.includes(containerId)) {
      throw new RunnerError('engine_failed', 'The container is not in a control group of its own.');
    }
    const driver = found.GraphDriver.Data as Record<string, string> | null;
    const layer = driver?.['UpperDir'];
    return {
      containerId,
      pid,
      cgroup: locateCgroup(membership, mountinfo),
      address: Object.values(found.NetworkSettings.Networks).find(({ IPAddress }) => IPAddress !== '')?.IPAddress,
      layer,
      merged: driver?.['MergedDir'],
      writablePaths: [
        ...(layer === undefined ? [] : [layer]),
        // Not their folder: the engine keeps checkpoints there.
        ...[found.ResolvConfPath, found.HostnamePath, found.HostsPath].filter((path) => path !== ''),
        ...found.Mounts.filter((mount) => mount.RW && mount.Type === 'volume').map((mount) => mount.Source),
      ],
      diskLimitBytes: Number(found.Config.Labels[diskLabel] ?? 0) * 1024 * 1024,
    };
  }
}
