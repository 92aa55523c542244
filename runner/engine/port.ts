import type { EgressRules } from '../protocol/egress.ts';
import type { SandboxMetrics } from '../protocol/jobs.ts';
import type { Captured } from './container-layer.ts';
import type { CapturedMemory } from './memory-images.ts';

/** What the runner needs of a container engine. docker.ts implements it; nothing else knows the engine. */
export interface ContainerEngine {
  /**
   * What was found on this node, for the start-up report and heartbeats. Throws where sandboxes can't be run safely. `egress`: of the
   * containers that an earlier life left and are somebody's, with or without rules, which stay in force throughout.
   */
  prepare(egress?: ReadonlyMap<string, EgressRules>): Promise<EngineReport>;
  /** As of now: 'on' goes while the deny rules can't be kept in place. */
  readonly networks: ('on' | 'off')[];
  /**
   * Makes and starts a hardened container whose main process is the agent. On failure nothing is left behind, but where the engine is away by
   * then: list() has it afterwards.
   */
  start(request: ContainerRequest, signal: AbortSignal): Promise<StartedContainer>;
  /** cpu and memory of a running container. */
  resize(containerId: string, size: { cpus: number; memoryMiB: number }): Promise<void>;
  /**
   * Rules of its own for a container with the network on, in place of those that it had; they go when it is removed. One that rests has them from
   * its next start on.
   */
  setEgress(containerId: string, rules: EgressRules): Promise<void>;
  /** Of a running container: whether it would have its rules and be apart from its neighbours before anything runs in it again. */
  confinesFromStart(containerId: string): Promise<boolean>;
  pause(containerId: string): Promise<void>;
  unpause(containerId: string): Promise<void>;
  /** Ends all that runs in it; its files stay, and nothing of its memory. Stopped already is fine. */
  stop(containerId: string): Promise<void>;
  /** Starts one that was stopped: its files as they were, its agent anew. On failure it is stopped again. */
  restart(containerId: string): Promise<void>;
  /**
   * Writes all that runs in it to disk and ends it, so that its memory is free. Nothing in it may have a connection to the host. Where it
   * rejects, it runs on.
   */
  checkpoint(containerId: string): Promise<void>;
  /** Goes on where checkpoint() has left off, and forgets what was written. Where it rejects, it is stopped, and nothing is forgotten. */
  restore(containerId: string): Promise<void>;
  /** Of one that runs: what was written of its memory, and never made use of. None is fine. */
  discardMemory(containerId: string): Promise<void>;
  /** Of a restored container in which nothing but ours runs: whether its root could change a device of the node's. */
  sharesNodeDevice(containerId: string): Promise<boolean>;
  /** Of one in which nothing but ours runs. `files`: absolute paths of what was just written in it. */
  examine(containerId: string, files: readonly string[]): Promise<RuntimeTraits>;
  /** What running a container has shown: 'on' is not offered where its programs reach no network. */
  learnRuntime(lesson: { reachesNetwork: boolean }): void;
  /** Kills and removes it with its writable layer. Missing is fine. Resolves once it is gone. */
  remove(containerId: string): Promise<void>;
  /** How a container ended; undefined while it runs or when it is gone. For a create whose agent never dialled in. */
  findExit(containerId: string): Promise<ContainerExit | undefined>;
  /**
   * A container's writable layer, of one moment: what runs stands still until `consume` settles. Throws not_supported, sandbox_not_running,
   * engine_failed, or what `consume` threw.
   */
  capture<T>(request: CaptureRequest, consume: (captured: Captured) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Every container that carries this installation's id, and every one whose removal was not seen through, be it gone (without a slot then). */
  list(): Promise<Container[]>;
  /** From the host's cgroup files and the storage watcher, never from inside. */
  metrics(containerId: string): Promise<SandboxMetrics>;
  /** The same, of what costs next to nothing to read, without a wait: for many containers, often. */
  sample(containerId: string): Promise<UsageReading>;
  /** How many processes of a running container the kernel has killed for memory so far. Not every engine tells by an event. */
  oomKills(containerId: string): Promise<number>;
  /**
   * Deaths, oom kills and disk limits passed, as they happen. Resolves once none is missed any more. Ends when aborted, which is due to it also
   * where nobody reads on; throws if the engine goes away.
   */
  events(signal: AbortSignal): Promise<AsyncIterable<ContainerEvent>>;
  /** Stops this process's timers and leaves containers, network and rules in place, for a runner that will adopt them. */
  close(): Promise<void>;
  /** Removes the network and firewall chains of this installation. Containers must be gone. */
  dispose(): Promise<void>;
}

export interface ContainerRequest {
  /** Random, fixed at start: names the container, its host-side directory and its labels. Not the sandbox's id. */
  slot: string;
  image: string;
  network: 'on' | 'off';
  cpus: number;
  memoryMiB: number;
  diskMiB: number;
  /** Absolute host directory that holds the agent's listening socket; mounted read-only. Made by AgentHost. */
  socketDir: string;
  /** Rules of its own, in force before anything runs in it. */
  egress?: EgressRules;
  /** What its writable layer begins with, as capture() gave it. */
  filesystem?: AsyncIterable<Uint8Array>;
  /** What runs in it from its first moment on, as capture() gave it; read after `filesystem`. */
  memory?: CapturedMemory;
}

export interface CaptureRequest {
  containerId: string;
  /** 'live': what runs in it, which must have no connection to the host. 'written': what checkpoint() has left. 'none': its files alone. */
  memory: 'live' | 'written' | 'none';
}

export interface StartedContainer extends Container {
  /** The image's own environment (PATH and the like). The agent is started without it: what runs in the sandbox should get it. */
  imageEnv: Record<string, string>;
  /** Whether what was to run in it does: where it could not be brought back, it has begun with its files. */
  memoryKept: boolean;
}

/** Why a container is no longer there to talk to. */
export interface ContainerExit {
  exitCode: number;
  oomKilled: boolean;
  /** One sentence for the caller when the image itself looks unable to run the agent; null when it died of something else. */
  unsupported: string | null;
}

export interface Container {
  id: string;
  slot: string;
  state: 'running' | 'paused' | 'exited';
}

export type ContainerEvent =
  | { kind: 'exited'; containerId: string; exitCode: number }
  | { kind: 'oom'; containerId: string }
  | { kind: 'disk_limit'; containerId: string };

export interface RuntimeTraits {
  /** A kernel of its own in user space; undefined: the node's, or another that we don't know. */
  kind: 'gvisor' | undefined;
  /** Whether all those files lie where a disk's use is measured and snapshots are taken. */
  filesInLayer: boolean;
  /** Whether what runs in it is held by its own limits. */
  ownLimits: boolean;
}

export interface UsageReading {
  /** Since its main process began. */
  cpuSeconds: number;
  memoryUsedBytes: number;
  memoryCacheBytes: number;
  diskLimitBytes: number;
  diskUsedBytes: number;
}

export interface EngineReport {
  engine: string;
  /** As the engine calls it. */
  runtime: string;
  /** One that isn't is tried before sandboxes are begun under it (runtime-probe.ts); its containers keep the size that they were made with. */
  provenRuntime: boolean;
  cgroupVersion: 1 | 2;
  /** 'on' only where the deny rules are in place and were seen to hold. */
  networks: ('on' | 'off')[];
  userNamespaces: boolean;
  diskLimit: 'quota' | 'watcher';
  /** Whether the engine offers checkpoints; whether they work is found out by making one. */
  offersCheckpoints: boolean;
  /** One sentence each: open risks, degraded features. */
  notes: string[];
}
