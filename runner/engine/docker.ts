import type { AgentFolder } from '../agent/bundle.ts';
import type { Logger } from '../log.ts';
import type { EgressRules } from '../protocol/egress.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { SandboxMetrics } from '../protocol/jobs.ts';
import { Checkpoints, sharesNodeDevice } from './checkpoints.ts';
import { ContainerFactsCache, type ContainerFacts } from './container-facts.ts';
import { captureContainer, fillContainer, type CapturedLayer } from './container-layer.ts';
import {
  containerName,
  containerSpec,
  installationLabel,
  maskedPaths,
  sizeLimits,
  slotLabel,
} from './container-spec.ts';
import type { SpecContext } from './container-spec.ts';
import { DiskWatcher } from './disk-watcher.ts';
import { asError, connectDocker, connectDockerForEvents, engineMessage, engineStatus } from './docker-client.ts';
import type { DockerClient } from './docker-client.ts';
import { EventQueue, followEngine } from './engine-events.ts';
import { diagnoseExit } from './exit-diagnosis.ts';
import { readImageFacts } from './image-facts.ts';
import { raiseKernelCounters } from './kernel-counters.ts';
import { readUsage } from './usage.ts';
import { MetricsReader, readMemory, readOomKills } from './metrics.ts';
import { OomWatcher } from './oom-watcher.ts';
import { nodeResolver, removeNetwork, SandboxNetwork } from './network.ts';
import { readNodeFacts, type EngineInfo, type NodeFacts } from './node-facts.ts';
import { removeContainer } from './removal.ts';
import { runcRisks } from './runc-probe.ts';
import { limitSocketBuffers } from './socket-buffers.ts';
import type {
  Container,
  ContainerEngine,
  ContainerEvent,
  ContainerExit,
  ContainerRequest,
  EngineReport,
  StartedContainer,
  UsageReading,
} from './port.ts';

export interface DockerEngineOptions {
  /** A unix socket's path; see dockerSocketPath for DOCKER_HOST. */
  socketPath: string;
  /** 12 lowercase hex. Everything made on the engine carries it, and nothing without it is ever touched. */
  installationId: string;
  agent: AgentFolder;
  /** The one address in a denied range that may be reached, on port 53. Default: the node's own first resolver. */
  resolver?: string;
  /** Addresses, networks or address:port pairs denied beside the private ranges: Redis, the control plane's internal port. */
  denyAddresses?: string[];
  log: Logger;
}

/** The engine on this machine. Call prepare() first; close() or dispose() at the end. */
export function createDockerEngine(options: DockerEngineOptions): ContainerEngine {
  if (!/^[0-9a-f]{12}$/.test(options.installationId)) throw new Error('installationId must be 12 lowercase hex digits');
  return new DockerEngine(options);
}

/** What prepare() finds and sets up. */
interface EngineState {
  spec: SpecContext;
  network: SandboxNetwork;
  watcher: DiskWatcher;
  /** Why this node can't take or boot snapshots. */
  snapshotObstacle: string | undefined;
  /** Of the engine's own files. */
  dataRoot: string;
}

class DockerEngine implements ContainerEngine {
  readonly #options: DockerEngineOptions;
  readonly #docker: DockerClient;
  readonly #eventSource: DockerClient;
  /** Made by this process but not started yet: list() must not show them as ended. */
  readonly #starting = new Set<string>();

  readonly #readers = new Set<EventQueue>();
  readonly #containers: ContainerFactsCache;
  readonly #oomWatcher: OomWatcher;
  readonly #metrics = new MetricsReader();
  readonly #checkpoints: Checkpoints;
  #state: EngineState | undefined;

  constructor(options: DockerEngineOptions) {
    this.#options = options;
    this.#docker = connectDocker(options.socketPath);
    this.#eventSource = connectDockerForEvents(options.socketPath);
    this.#containers = new ContainerFactsCache(this.#docker);
    this.#checkpoints = new Checkpoints(this.#docker);
    this.#oomWatcher = new OomWatcher(
      () => this.#containers.known(),
      (containerId) => this.#publish({ kind: 'oom', containerId }),
    );
  }

  async prepare(egress: ReadonlyMap<string, EgressRules> = new Map()): Promise<EngineReport> {
    const info: unknown = await this.#docker.info();
    const facts = await readNodeFacts(info as EngineInfo);
    const notes = [...facts.notes, ...(await raiseKernelCounters()), ...(await runcRisks())];
    this.#state ??= await this.#makeState(facts);
    const { network, watcher } = this.#state;
    for (const [containerId, rules] of egress) {
      network.keep({ containerId, address: await this.#addressOf(containerId) }, rules);
    }
    await network.prepare().catch((cause: unknown) => {
      notes.push(`Sandboxes have no network here: the deny rules could not be put in place (${engineMessage(cause)}).`);
    });
    watcher.start();
    this.#oomWatcher.start();
    const { networks } = this;
    const { engine, cgroupVersion, userNamespaces, diskLimit, offersCheckpoints } = facts;
    return { engine, runtime: 'runc', cgroupVersion, networks, userNamespaces, diskLimit, offersCheckpoints, notes };
  }

  get networks(): EngineReport['networks'] {
    return this.#state?.network.safe === true ? ['on', 'off'] : ['off'];
  }

  async #makeState(facts: NodeFacts): Promise<EngineState> {
    const { installationId, agent, denyAddresses, log } = this.#options;
    const resolver = this.#options.resolver ?? (await nodeResolver());
    return {
      dataRoot: facts.dataRoot,
      spec: {
        installationId,
        agent,
        resolver,
        diskQuota: facts.diskLimit === 'quota',
        hardLimits: facts.hardLimits,
      },
      network: new SandboxNetwork(this.#docker, { installationId, resolver, denyAddresses: denyAddresses ?? [], log }),
      watcher: new DiskWatcher({
        dataRoot: facts.dataRoot,
        listRunning: () => this.#listRunning(),
        onLimit: (containerId) => this.#publish({ kind: 'disk_limit', containerId }),
        log,
      }),
      snapshotObstacle: facts.snapshotObstacle,
    };
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
    if (request.network === 'on' && !this.#prepared().network.safe) {
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
    const spec = containerSpec(this.#prepared().spec, image, request);
    const container = await this.#docker.createContainer(spec).catch((cause: unknown) => {
      throw createFailure(cause);
    });
    try {
      signal.throwIfAborted();
      if (request.filesystem) await this.#fill(container.id, request.filesystem, signal);
      await container.start();
      await this.#confine(container.id, request.network);
      signal.throwIfAborted();
      return { id: container.id, slot: request.slot, state: 'running', imageEnv: image.env };
    } catch (cause) {
      await this.remove(container.id);
      if (signal.aborted) throw signal.reason;
      throw startFailure(cause);
    }
  }

  /** What the engine has no setting for; before anyone can run a thing in it. */
  async #confine(containerId: string, network: ContainerRequest['network']): Promise<void> {
    const bridge = this.#prepared().network;
    if (network === 'on') await bridge.isolatePorts();
    try {
      const { cgroup, address } = await this.#containers.get(containerId);
      if (address !== undefined) await bridge.welcome({ containerId, address });
      await limitSocketBuffers(cgroup);
    } catch (cause) {
      // One that has already ended needs no limits, and why it did is its caller's to find out.
      if ((await this.findExit(containerId)) === undefined) throw cause;
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
    const { address } = await this.#containers.get(containerId);
    if (address === undefined) return; // with the network off nothing is reached anyway
    await this.#prepared()
      .network.setEgress({ containerId, address }, rules)
      .catch((cause: unknown) => {
        throw new RunnerError('engine_failed', 'The network rules could not be put in place.', { cause });
      });
  }

  async resize(containerId: string, size: { cpus: number; memoryMiB: number }): Promise<void> {
    await this.#act('resize', () => this.#docker.getContainer(containerId).update(sizeLimits(size)));
  }

  async pause(containerId: string): Promise<void> {
    await this.#act('pause', () => this.#docker.getContainer(containerId).pause(), saying(/already paused/i));
  }

  async unpause(containerId: string): Promise<void> {
    await this.#act('unpause', () => this.#docker.getContainer(containerId).unpause(), saying(/not paused/i));
  }

  async stop(containerId: string): Promise<void> {
    await this.#act('stop', () => this.#docker.getContainer(containerId).stop({ t: 0 }), alreadyStopped);
    await this.#rest(containerId);
  }

  async #rest(containerId: string): Promise<void> {
    // Its address is anybody's now; its rules wait for the next that it gets.
    await this.#prepared().network.leave(containerId);
    this.#containers.forget(containerId);
    this.#metrics.forget(containerId);
  }

  async checkpoint(containerId: string): Promise<void> {
    const { usedBytes } = await readMemory((await this.#containers.get(containerId)).cgroup);
    await this.#checkpoints.checkRoom(usedBytes, this.#prepared().dataRoot);
    await this.#act('checkpoint', () => this.#checkpoints.write(containerId));
    await this.#rest(containerId);
  }

  async sharesNodeDevice(containerId: string): Promise<boolean> {
    return await sharesNodeDevice((await this.#containers.get(containerId)).pid, maskedPaths);
  }

  async restore(containerId: string): Promise<void> {
    await this.#startAgain(containerId, () => this.#act('restore', () => this.#checkpoints.restore(containerId)));
    await this.#checkpoints.discard(containerId);
  }

  async restart(containerId: string): Promise<void> {
    const container = this.#docker.getContainer(containerId);
    await this.#startAgain(containerId, () => this.#act('start', () => container.start()));
    // One that could not be restored, or was not to be: it holds all that was in memory.
    await this.#checkpoints.discard(containerId);
  }

  async #startAgain(containerId: string, start: () => Promise<void>): Promise<void> {
    try {
      await start();
      const { HostConfig } = await this.#docker.getContainer(containerId).inspect();
      await this.#confine(containerId, HostConfig.NetworkMode === 'none' ? 'off' : 'on');
    } catch (cause) {
      await this.stop(containerId);
      throw cause instanceof RunnerError ? cause : startFailure(cause);
    }
  }

  async remove(containerId: string): Promise<void> {
    this.#containers.forget(containerId);
    this.#metrics.forget(containerId);
    await removeContainer(this.#docker, containerId);
    // Should this fail, the next look at the rules puts it right; whoever gets the address next is welcomed without them.
    await this.#state?.network.forget(containerId).catch((error: unknown) => {
      this.#options.log.warn('egress_not_cleared', { error: asError(error) });
    });
  }

  async capture<T>(
    containerId: string,
    consume: (captured: CapturedLayer) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    this.#requireSnapshots();
    return await captureContainer(this.#docker, containerId, consume, signal);
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
    const found = await this.#docker
      .getContainer(containerId)
      .inspect()
      .catch((error: unknown) => {
        if (engineStatus(error) === 404) return undefined;
        throw new RunnerError('engine_failed', 'The container engine did not answer.', { cause: error });
      });
    if (found === undefined || found.State.Running) return undefined;
    const exit = { exitCode: found.State.ExitCode, oomKilled: found.State.OOMKilled };
    return { ...exit, unsupported: diagnoseExit({ ...exit, startError: found.State.Error }) };
  }

  async list(): Promise<Container[]> {
    const filters = { label: [`${installationLabel}=${this.#options.installationId}`] };
    const found = await this.#docker.listContainers({ all: true, filters }).catch((cause: unknown) => {
      throw new RunnerError('engine_failed', 'The container engine did not answer.', { cause });
    });
    return found
      .filter((entry) => !entry.Names.some((name) => this.#starting.has(name.slice(1))))
      .map((entry) => ({ id: entry.Id, slot: entry.Labels[slotLabel] ?? '', state: containerState(entry.State) }));
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

  async *events(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    const queue = new EventQueue();
    const stop = new AbortController();
    this.#readers.add(queue);
    try {
      const following = AbortSignal.any([signal, stop.signal]);
      await followEngine(this.#eventSource, this.#options.installationId, queue, following).catch((cause: unknown) => {
        if (!signal.aborted) throw new RunnerError('engine_failed', 'The container engine did not answer.', { cause });
      });
      for await (const event of queue.read(signal)) yield event;
    } finally {
      this.#readers.delete(queue);
      stop.abort();
    }
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

  /** `harmless`: an answer that says that there was nothing to do. */
  async #act(what: string, call: () => Promise<unknown>, harmless?: (cause: unknown) => boolean): Promise<void> {
    try {
      await call();
    } catch (cause) {
      if (harmless?.(cause) === true) return;
      if (engineStatus(cause) === 404)
        throw new RunnerError('sandbox_not_running', 'The container is gone.', { cause });
      throw new RunnerError('engine_failed', `The container engine failed to ${what} a container.`, { cause });
    }
  }
}

const saying = (words: RegExp) => (cause: unknown) => words.test(engineMessage(cause));
const alreadyStopped = (cause: unknown) => engineStatus(cause) === 304;

function containerState(state: string): Container['state'] {
  return state === 'running' || state === 'paused' ? state : 'exited';
}

function createFailure(cause: unknown): RunnerError {
  if (engineStatus(cause) === 409) return new RunnerError('engine_failed', 'The container name is in use.', { cause });
  return new RunnerError('engine_failed', 'The container engine could not create a container.', { cause });
}

function startFailure(cause: unknown): RunnerError {
  if (cause instanceof RunnerError) return cause;
  const unsupported = diagnoseExit({ exitCode: 0, oomKilled: false, startError: engineMessage(cause) });
  if (unsupported !== null) return new RunnerError('image_unsupported', unsupported, { cause });
  return new RunnerError('engine_failed', 'The container engine could not start a container.', { cause });
}
