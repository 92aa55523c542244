import { RunnerError } from '../protocol/errors.ts';
import { Checkpoints, sharesNodeDevice } from './checkpoints.ts';
import { startConfined } from './confinement.ts';
import type { ContainerFactsCache } from './container-facts.ts';
import { maskedPaths } from './container-spec.ts';
import type { DockerClient } from './docker-client.ts';
import { act, alreadyStopped, startFailure } from './engine-failures.ts';
import {
  listImages,
  memoryFacts,
  processorKind,
  readImages,
  writeImages,
  type CapturedMemory,
} from './memory-images.ts';
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
    this.#checkpoints = new Checkpoints(parts.docker, () => parts.prepared().dataRoot);
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
    await this.#write(containerId, true);
    await this.#forget(containerId);
  }

  /** What runs in a container that stands still, and goes on standing still. It lies on the disk until discard(). */
  async copyMemory(containerId: string): Promise<CapturedMemory> {
    await this.#write(containerId, false);
    return await this.keptMemory(containerId);
  }

  /** What checkpoint() has written. */
  async keptMemory(containerId: string): Promise<CapturedMemory> {
    const folder = this.#checkpoints.folderOf(containerId);
    const images = await listImages(folder);
    const { Config, HostConfig } = await this.#parts.docker.getContainer(containerId).inspect();
    const facts = {
      hostname: Config.Hostname,
      network: networkOf(HostConfig),
      processor: await processorKind(),
      images,
    };
    return { facts: memoryFacts.parse(facts), bytes: readImages(folder, images) };
  }

  async discard(containerId: string): Promise<void> {
    await this.#checkpoints.discard(containerId);
  }

  /** Starts a container that was made and filled, with what ran in the one that it is a copy of. Where it rejects, nothing runs in it. */
  async begin(containerId: string, network: 'on' | 'off', memory: CapturedMemory): Promise<void> {
    if (memory.facts.network !== network) throw new Error('what runs in it has another network');
    if (memory.facts.processor !== (await processorKind()))
      throw new Error('what runs in it began on another processor');
    if (network === 'on' && !this.#parts.prepared().network.confinesFromStart(containerId)) {
      throw new Error('what runs in it would be ahead of its rules');
    }
    try {
      await writeImages(this.#checkpoints.folderOf(containerId), memory.facts.images, memory.bytes);
      await this.#startAgain(containerId, 'restore', () => this.#checkpoints.restore(containerId));
    } finally {
      await this.discard(containerId);
    }
  }

  async #write(containerId: string, exit: boolean): Promise<void> {
    const { usedBytes } = await readMemory((await this.#parts.facts.get(containerId)).cgroup);
    await this.#checkpoints.checkRoom(usedBytes);
    await act('checkpoint', () => this.#checkpoints.write(containerId, { exit }));
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
        const { network: bridge, resolver } = prepared();
        const confinement = { docker, facts, bridge, resolver };
        await startConfined({ containerId, network: networkOf(HostConfig) }, start, confinement);
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

const networkOf = ({ NetworkMode }: { NetworkMode?: string | undefined }): 'on' | 'off' =>
  NetworkMode === 'none' ? 'off' : 'on';
