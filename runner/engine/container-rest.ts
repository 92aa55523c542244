import { createHash } from 'node:crypto';
import type { HostConfig } from 'dockerode';
import { RunnerError } from '../protocol/errors.ts';
import { Checkpoints, memoryBytesMax, sharesNodeDevice } from './checkpoints.ts';
import { startConfined } from './confinement.ts';
import type { ContainerFactsCache } from './container-facts.ts';
import { maskedPaths } from './container-spec.ts';
import type { DockerClient } from './docker-client.ts';
import { act, alreadyStopped, notPaused, startFailure } from './engine-failures.ts';
import {
  listImages,
  memoryFacts,
  processorKind,
  readImages,
  writeImages,
  type CapturedMemory,
} from './memory-images.ts';
import { measureMemory } from './memory-size.ts';
import { readMemory, type MetricsReader } from './metrics.ts';
import { defaultRuntime } from './container-spec.ts';
import type { SandboxNetwork } from './network.ts';

interface ContainerRestParts {
  docker: DockerClient;
  /** For what takes as long as a disk is slow. */
  patientDocker: DockerClient;
  facts: ContainerFactsCache;
  metrics: MetricsReader;
  /** Once prepare() has found them. */
  prepared: () => {
    network: SandboxNetwork;
    resolver: string | undefined;
    dataRoot: string;
    spec: { runtime: string };
  };
}

/** Containers that are stopped, with what runs in them written to disk or not, and started again. As the engine's port has it. */
export class ContainerRest {
  readonly #parts: ContainerRestParts;
  readonly #checkpoints: Checkpoints;

  constructor(parts: ContainerRestParts) {
    this.#parts = parts;
    this.#checkpoints = new Checkpoints(parts.patientDocker, () => parts.prepared().dataRoot);
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
    if (this.#writesByProcess) await this.#freezeAndWrite(containerId);
    else await this.#write(containerId, true);
    await this.#forget(containerId);
  }

  /** What is measured must not grow until it is written. */
  async #freezeAndWrite(containerId: string): Promise<void> {
    const container = this.#parts.docker.getContainer(containerId);
    await act('pause', () => container.pause());
    try {
      await this.#write(containerId, true);
    } catch (cause) {
      await act('unpause', () => container.unpause(), notPaused);
      throw cause;
    }
  }

  /** CRIU does; gVisor writes the memory of its own kernel, once. */
  get #writesByProcess(): boolean {
    return this.#parts.prepared().spec.runtime === defaultRuntime;
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
      confinement: confinementOf(HostConfig),
      processor: await processorKind(),
      images,
    };
    return { facts: memoryFacts.parse(facts), bytes: readImages(folder, images) };
  }

  async discard(containerId: string): Promise<void> {
    await this.#checkpoints.discard(containerId);
  }

  /** Starts a container that was made and filled, with what ran in the one that it is a copy of. Where it rejects, nothing runs in it. */
  async begin(
    containerId: string,
    { network, memory: { facts, bytes } }: { network: 'on' | 'off'; memory: CapturedMemory },
    signal: AbortSignal,
  ): Promise<void> {
    const { HostConfig } = await this.#parts.docker.getContainer(containerId).inspect();
    if (facts.network !== network) throw new Error('what runs in it has another network');
    if (facts.processor !== (await processorKind())) throw new Error('what runs in it began on another processor');
    // It would bring its own along.
    if (facts.confinement !== confinementOf(HostConfig)) throw new Error('what runs in it is confined otherwise');
    if (network === 'on' && !this.#parts.prepared().network.confinesFromStart(containerId)) {
      throw new Error('what runs in it would be ahead of its rules');
    }
    const imageBytes = facts.images.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    try {
      await this.#checkpoints.withRoom(imageBytes, async () => {
        await writeImages(this.#checkpoints.folderOf(containerId), { images: facts.images, bytes }, signal);
        await this.#startAgain(containerId, 'restore', () => this.#checkpoints.restore(containerId));
      });
      await this.discard(containerId);
    } catch (cause) {
      await this.stop(containerId);
      await this.discard(containerId);
      throw cause;
    }
  }

  async #write(containerId: string, exit: boolean): Promise<void> {
    const { cgroup } = await this.#parts.facts.get(containerId);
    const imageBytes = this.#writesByProcess ? await measureMemory(cgroup) : (await readMemory(cgroup)).usedBytes;
    if (imageBytes > memoryBytesMax) throw new RunnerError('engine_failed', 'It uses too much memory to write.');
    await this.#checkpoints.withRoom(imageBytes, () =>
      act('checkpoint', () => this.#checkpoints.write(containerId, { exit })),
    );
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

/** What of a container's settings processes carry with them, as a hash: system calls, capabilities, masks, the runtime. */
function confinementOf(host: HostConfig): string {
  const { Runtime, SecurityOpt, CapAdd, CapDrop, MaskedPaths, ReadonlyPaths } = host;
  const settings = JSON.stringify([Runtime, SecurityOpt, CapAdd, CapDrop, MaskedPaths, ReadonlyPaths]);
  return createHash('sha256').update(settings).digest('hex');
}

const networkOf = ({ NetworkMode }: { NetworkMode?: string | undefined }): 'on' | 'off' =>
  NetworkMode === 'none' ? 'off' : 'on';
