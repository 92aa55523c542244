import { RunnerError } from '../protocol/errors.ts';
import { Checkpoints, sharesNodeDevice } from './checkpoints.ts';
import { startConfined } from './confinement.ts';
import type { ContainerFactsCache } from './container-facts.ts';
import { maskedPaths } from './container-spec.ts';
import type { DockerClient } from './docker-client.ts';
import { act, alreadyStopped, startFailure } from './engine-failures.ts';
import { readMemory, type MetricsReader } from './metrics.ts';
import type { SandboxNetwork } from './network.ts';

interface ContainerRestParts {
  docker: DockerClient;
  facts: ContainerFactsCache;
  metrics: MetricsReader;
  /** Once prepare() has found them. */
  prepared: () => { network: SandboxNetwork; resolver: string | undefined; dataRoot: string };
}

/** Containers that are stopped, with what runs in them written to disk or not, and started again. As the engine's port has it. */
export class ContainerRest {
  readonly #parts: ContainerRestParts;
  readonly #checkpoints: Checkpoints;

  constructor(parts: ContainerRestParts) {
    this.#parts = parts;
    this.#checkpoints = new Checkpoints(parts.docker);
  }

  async stop(containerId: string): Promise<void> {
    const container = this.#parts.docker.getContainer(containerId);
    await act('stop', () => container.stop({ t: 0 }), alreadyStopped);
    await this.#forget(containerId);
  }

  async restart(containerId: string): Promise<void> {
    const container = this.#parts.docker.getContainer(containerId);
    await this.#startAgain(containerId, 'start', () => container.start());
    // One that could not be restored, or was not to be: it holds all that was in memory.
    await this.#checkpoints.discard(containerId);
  }

  async checkpoint(containerId: string): Promise<void> {
    const { usedBytes } = await readMemory((await this.#parts.facts.get(containerId)).cgroup);
    await this.#checkpoints.checkRoom(usedBytes, this.#parts.prepared().dataRoot);
    await act('checkpoint', () => this.#checkpoints.write(containerId));
    await this.#forget(containerId);
  }

  async restore(containerId: string): Promise<void> {
    await this.#startAgain(containerId, 'restore', () => this.#checkpoints.restore(containerId));
    await this.#checkpoints.discard(containerId);
  }

  async sharesNodeDevice(containerId: string): Promise<boolean> {
    return await sharesNodeDevice((await this.#parts.facts.get(containerId)).pid, maskedPaths);
  }

  async #startAgain(containerId: string, how: 'start' | 'restore', start: () => Promise<void>): Promise<void> {
    const { docker, facts, prepared } = this.#parts;
    try {
      await act(how, async () => {
        const { HostConfig } = await docker.getContainer(containerId).inspect();
        const network = HostConfig.NetworkMode === 'none' ? 'off' : 'on';
        const { network: bridge, resolver } = prepared();
        await startConfined({ containerId, network }, start, { docker, facts, bridge, resolver });
      });
    } catch (cause) {
      await this.stop(containerId);
      throw cause instanceof RunnerError ? cause : startFailure(cause);
    }
  }

  async #forget(containerId: string): Promise<void> {
    await this.#parts.prepared().network.rested(containerId);
    this.#parts.facts.forget(containerId);
    this.#parts.metrics.forget(containerId);
  }
}
