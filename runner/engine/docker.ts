import type { EgressRules } from '../protocol/egress.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { SandboxMetrics } from '../protocol/jobs.ts';
import { findContainerExit } from './container-exit.ts';
import { ContainerFactsCache, type ContainerFacts } from './container-facts.ts';
import { captureContainer, fillContainer, type Captured } from './container-layer.ts';
import { containerName, installationLabel, sizeLimits, slotLabel } from './container-spec.ts';
import { ContainerRest } from './container-rest.ts';
import { startContainer } from './container-start.ts';
import {
  asError,
  connectDocker,
  connectDockerForCheckpoints,
  connectDockerForEvents,
  engineMessage,
  type DockerClient,
} from './docker-client.ts';
import { act, alreadyPaused, didNotAnswer, notPaused } from './engine-failures.ts';
import { EventQueue, followEngine } from './engine-events.ts';
import { setUpEngine, type DockerEngineOptions, type EngineState } from './engine-setup.ts';
import { readImageFacts } from './image-facts.ts';
import { raiseKernelCounters } from './kernel-counters.ts';
import { readUsage } from './usage.ts';
import { MetricsReader, readOomKills } from './metrics.ts';
import { OomWatcher } from './oom-watcher.ts';
import { removeNetwork } from './network.ts';
import { readNodeFacts, type EngineInfo, type NodeFacts } from './node-facts.ts';
import { removeContainer } from './removal.ts';
import { examineContainer } from './runtime.ts';
import { runcRisks } from './runc-probe.ts';
import type { CapturedMemory } from './memory-images.ts';
import type {
  CaptureRequest,
  Container,
  ContainerEngine,
  ContainerEvent,
  ContainerExit,
  ContainerRequest,
  EngineReport,
  RuntimeTraits,
  StartedContainer,
  UsageReading,
} from './port.ts';

/** The engine on this machine. Call prepare() first; close() or dispose() at the end. */
export function createDockerEngine(options: DockerEngineOptions): ContainerEngine {
  if (!/^[0-9a-f]{12}$/.test(options.installationId)) throw new Error('installationId must be 12 lowercase hex digits');
  return new DockerEngine(options);
}

class DockerEngine implements ContainerEngine {
  readonly #options: DockerEngineOptions;
  readonly #docker: DockerClient;
  readonly #eventSource: DockerClient;
  /** Made by this process but not started yet: list() must not show them as ended. */
  readonly #starting = new Set<string>();
  /** Those whose removal is not seen through: they may be gone, but what was theirs is not given back yet. */
  readonly #unremoved = new Set<string>();

  readonly #readers = new Set<EventQueue>();
  readonly #containers: ContainerFactsCache;
  readonly #oomWatcher: OomWatcher;
  readonly #metrics = new MetricsReader();
  readonly #rest: ContainerRest;
  #state: EngineState | undefined;
  #reachesNetwork = true;

  constructor(options: DockerEngineOptions) {
    this.#options = options;
    this.#docker = connectDocker(options.socketPath);
    this.#eventSource = connectDockerForEvents(options.socketPath);
    this.#containers = new ContainerFactsCache(this.#docker);
    this.#rest = new ContainerRest({
      docker: this.#docker,
      patientDocker: connectDockerForCheckpoints(options.socketPath),
      facts: this.#containers,
      metrics: this.#metrics,
      prepared: () => this.#prepared(),
    });
    this.#oomWatcher = new OomWatcher(
      () => this.#containers.known(),
      (containerId) => this.#publish({ kind: 'oom', containerId }),
    );
  }

  async prepare(egress: ReadonlyMap<string, EgressRules> = new Map()): Promise<EngineReport> {
    const info: unknown = await this.#docker.info();
    const facts = await readNodeFacts(info as EngineInfo, this.#options.runtime);
    const risks = facts.provenRuntime ? await runcRisks() : [];
    const notes = [...facts.notes, ...(await raiseKernelCounters()), ...risks];
    this.#state ??= await setUpEngine(this.#docker, facts, this.#options, {
      listRunning: () => this.#listRunning(),
      onLimit: (containerId) => this.#publish({ kind: 'disk_limit', containerId }),
    });
    const { network, watcher } = this.#state;
    await network.adopt(egress);
    await network.prepare().catch((cause: unknown) => {
      notes.push(`Sandboxes have no network here: the deny rules could not be put in place (${engineMessage(cause)}).`);
    });
    if (network.safe) notes.push(...network.notes);
    watcher.start();
    this.#oomWatcher.start();
    const { networks } = this;
    return { ...reportOf(facts), networks, notes };
  }

  get networks(): EngineReport['networks'] {
    return this.#state?.network.safe === true && this.#reachesNetwork ? ['on', 'off'] : ['off'];
  }

  async #listRunning(): Promise<ContainerFacts[]> {
    const running = (await this.list()).filter(({ state }) => state !== 'exited');
    const found = await Promise.allSettled(running.map(({ id }) => this.#containers.get(id)));
    return found.flatMap((entry) => (entry.status === 'fulfilled' ? [entry.value] : []));
  }

  #publish(event: ContainerEvent): void {
    for (const reader of this.#readers) reader.push(event);
  }

  #prepared(): EngineState {
    if (this.#state === undefined) throw new Error('prepare() has not been called');
    return this.#state;
  }

  async start(request: ContainerRequest, signal: AbortSignal): Promise<StartedContainer> {
    signal.throwIfAborted();
    if (request.network === 'on' && !this.networks.includes('on')) {
      throw new RunnerError(
        'engine_failed',
        'Sandboxes can have no network on this node now; create it with network off.',
      );
    }
    const name = containerName(this.#options.installationId, request.slot);
    if (this.#starting.has(name)) throw new RunnerError('engine_failed', 'The container name is in use.');
    this.#starting.add(name);
    try {
      return await this.#createAndStart(request, signal);
    } finally {
      this.#starting.delete(name);
    }
  }

  async #createAndStart(request: ContainerRequest, signal: AbortSignal): Promise<StartedContainer> {
    const image = await readImageFacts(this.#docker, request.image);
    const { spec, network, resolver } = this.#prepared();
    const parts = {
      docker: this.#docker,
      facts: this.#containers,
      bridge: network,
      resolver,
      spec,
      fill: this.#fill.bind(this),
      restore: this.#restoreInto.bind(this),
      discard: this.#discard.bind(this),
    };
    const { containerId, memoryKept } = await startContainer(parts, { image, request }, signal);
    return { id: containerId, slot: request.slot, state: 'running', imageEnv: image.env, memoryKept };
  }

  /** False where it can't be brought back: then nothing runs in it yet. */
  async #restoreInto(
    containerId: string,
    { network, memory }: { network: 'on' | 'off'; memory: CapturedMemory },
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await this.#rest.begin(containerId, { network, memory }, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      // What is wrong with the bytes themselves is wrong with the snapshot.
      if (error instanceof RunnerError && error.code === 'snapshot_corrupt') throw error;
      this.#options.log.warn('restore_failed', { containerId, error: asError(error) });
      return false;
    }
  }

  async #addressOf(containerId: string): Promise<string | undefined> {
    try {
      return (await this.#containers.get(containerId)).address;
    } catch (cause) {
      // One that rests has none; it gets one when it is started again.
      if (cause instanceof RunnerError && cause.code === 'sandbox_not_running') return undefined;
      throw cause;
    }
  }

  async setEgress(containerId: string, rules: EgressRules): Promise<void> {
    await this.#prepared()
      .network.setEgress(containerId, rules, () => this.#addressOf(containerId))
      .catch((cause: unknown) => {
        if (cause instanceof RunnerError) throw cause;
        throw new RunnerError('engine_failed', 'The network rules could not be put in place.', { cause });
      });
  }

  async confinesFromStart(containerId: string): Promise<boolean> {
    if (this.#prepared().network.confinesFromStart(containerId)) return true;
    return (await this.#addressOf(containerId)) === undefined; // with the network off nothing is reached anyway
  }

  async resize(containerId: string, size: { cpus: number; memoryMiB: number }): Promise<void> {
    await act('resize', () => this.#docker.getContainer(containerId).update(sizeLimits(size)));
  }

  async pause(containerId: string): Promise<void> {
    await act('pause', () => this.#docker.getContainer(containerId).pause(), alreadyPaused);
  }

  async unpause(containerId: string): Promise<void> {
    await act('unpause', () => this.#docker.getContainer(containerId).unpause(), notPaused);
  }

  async stop(containerId: string): Promise<void> {
    await this.#rest.stop(containerId);
  }

  async restart(containerId: string): Promise<void> {
    await this.#rest.restart(containerId);
  }

  async checkpoint(containerId: string): Promise<void> {
    await this.#rest.checkpoint(containerId);
  }

  async restore(containerId: string): Promise<void> {
    await this.#rest.restore(containerId);
  }

  async discardMemory(containerId: string): Promise<void> {
    await act('discard a checkpoint of', () => this.#rest.discard(containerId));
  }

  async sharesNodeDevice(containerId: string): Promise<boolean> {
    return await this.#rest.sharesNodeDevice(containerId);
  }

  async examine(containerId: string, files: readonly string[]): Promise<RuntimeTraits> {
    const facts = await this.#containers.get(containerId);
    return await examineContainer(facts, files);
  }

  learnRuntime({ reachesNetwork }: { reachesNetwork: boolean }): void {
    this.#reachesNetwork = reachesNetwork;
  }

  async remove(containerId: string): Promise<void> {
    this.#containers.forget(containerId);
    this.#metrics.forget(containerId);
    this.#unremoved.add(containerId);
    await removeContainer(this.#docker, containerId);
    // Should this fail, the next look at the rules puts it right; whoever gets the address next is welcomed without them.
    await this.#state?.network.forget(containerId).catch((error: unknown) => {
      this.#options.log.warn('egress_not_cleared', { error: asError(error) });
    });
    this.#unremoved.delete(containerId);
  }

  async #discard(containerId: string): Promise<void> {
    await this.remove(containerId).catch((error: unknown) => {
      this.#options.log.warn('container_remove_failed', { containerId, error: asError(error) });
    });
  }

  async capture<T>(
    { containerId, memory }: CaptureRequest,
    consume: (captured: Captured) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    this.#requireSnapshots();
    const captureMemory = {
      live: () => this.#rest.copyMemory(containerId),
      written: () => this.#rest.keptMemory(containerId),
      none: undefined,
    }[memory];
    try {
      return await captureContainer({ docker: this.#docker, containerId, captureMemory, consume }, signal);
    } finally {
      if (memory === 'live') await this.#discardSoon(containerId);
    }
  }

  /** What was made of it is whole all the same; the next one that is written, and the container's end, take it along. */
  async #discardSoon(containerId: string): Promise<void> {
    await this.#rest.discard(containerId).catch((error: unknown) => {
      this.#options.log.warn('memory_not_discarded', { containerId, error: asError(error) });
    });
  }

  async #fill(containerId: string, filesystem: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    this.#requireSnapshots();
    await fillContainer(this.#docker, containerId, filesystem, signal);
  }

  #requireSnapshots(): void {
    const { snapshotObstacle } = this.#prepared();
    if (snapshotObstacle !== undefined) throw new RunnerError('not_supported', snapshotObstacle);
  }

  async findExit(containerId: string): Promise<ContainerExit | undefined> {
    return await findContainerExit(this.#docker, containerId);
  }

  async list(): Promise<Container[]> {
    const filters = { label: [`${installationLabel}=${this.#options.installationId}`] };
    const found = await this.#docker.listContainers({ all: true, filters }).catch((cause: unknown) => {
      throw didNotAnswer(cause);
    });
    const present = found
      .filter((entry) => !entry.Names.some((name) => this.#starting.has(name.slice(1))))
      .map((entry) => ({ id: entry.Id, slot: entry.Labels[slotLabel] ?? '', state: containerState(entry.State) }));
    const known = new Set(found.map(({ Id }) => Id));
    const gone = [...this.#unremoved].filter((id) => !known.has(id));
    return [...present, ...gone.map((id) => ({ id, slot: '', state: 'exited' as const }))];
  }

  async metrics(containerId: string): Promise<SandboxMetrics> {
    try {
      const facts = await this.#containers.get(containerId);
      const disk = await this.#prepared().watcher.usage(facts);
      return await this.#metrics.read(facts, disk.bytes);
    } catch (cause) {
      if (cause instanceof RunnerError) throw cause;
      // Its files go with it.
      throw new RunnerError('sandbox_not_running', 'The container is gone.', { cause });
    }
  }

  async sample(containerId: string): Promise<UsageReading> {
    const facts = await this.#containers.get(containerId);
    const { diskLimitBytes } = facts;
    const diskUsedBytes = this.#prepared().watcher.known(containerId)?.bytes ?? 0;
    return { ...readUsage(facts.cgroup), diskLimitBytes, diskUsedBytes };
  }

  async oomKills(containerId: string): Promise<number> {
    return await readOomKills((await this.#containers.get(containerId)).cgroup);
  }

  async events(signal: AbortSignal): Promise<AsyncIterable<ContainerEvent>> {
    const queue = new EventQueue();
    this.#readers.add(queue);
    signal.addEventListener('abort', () => this.#readers.delete(queue), { once: true });
    await followEngine(this.#eventSource, this.#options.installationId, queue, signal).catch((cause: unknown) => {
      if (!signal.aborted) throw didNotAnswer(cause);
    });
    return queue.read(signal);
  }

  async close(): Promise<void> {
    this.#oomWatcher.close();
    await this.#state?.watcher.close();
    await this.#state?.network.close();
  }

  async dispose(): Promise<void> {
    await this.close();
    await removeNetwork(this.#docker, this.#options.installationId);
  }
}

function reportOf(facts: NodeFacts): Omit<EngineReport, 'networks' | 'notes'> {
  const { engine, runtime, provenRuntime, cgroupVersion, userNamespaces, diskLimit, offersCheckpoints } = facts;
  return { engine, runtime, provenRuntime, cgroupVersion, userNamespaces, diskLimit, offersCheckpoints };
}

function containerState(state: string): Container['state'] {
  return state === 'running' || state === 'paused' ? state : 'exited';
}
