import type { CellDb, DirectoryDb } from '../../db/client.ts';
import type { Scope } from '../../db/enums.ts';
import type { Tenant } from '../../db/directory.ts';
import type { MemoryBudget } from './artifacts/memory-budget.ts';
import type { SandboxAccesses } from './access/sandbox-access.ts';
import type { Feed } from './feed.ts';
import type { Keyring } from './keys/keyring.ts';
import type { Signer } from './keys/signer.ts';
import type { ObjectStore } from './object-store.ts';
import type { OwnCredentials } from './traffic/credentials.ts';
import type { SnapshotKeys } from './snapshots/snapshot-keys.ts';
import type { TemplateCatalog } from './templates/template-catalog.ts';
import type { ControlCommand, OutEvent } from '../../runner/protocol/channel.ts';
import type { CheckpointCapability } from '../../runner/protocol/node-report.ts';
import type { UsageQuery, UsageSample } from '../../runner/protocol/usage.ts';
import type { JobData, LifecycleJobName, SandboxMetrics, SandboxOutcome } from '../../runner/protocol/jobs.ts';
import type {
  Attachment,
  ProcessExit,
  ProcessInfo,
  ProcessSelector,
  ProcessSpec,
} from '../../runner/protocol/process.ts';
import type { PortHeaders, PortRequest } from '../../runner/protocol/ports.ts';
import type { SnapshotPart, UploadedSnapshot } from '../../runner/protocol/snapshots.ts';
import type {
  FileInput,
  FileOperation,
  FileOutput,
  FileRead,
  FileWatch,
  FileWrite,
  ReadHead,
  WriteResult,
} from '../../runner/protocol/files.ts';

/** What lives as long as the isolate. */
export interface Services {
  directory: DirectoryDb;
  cell: CellDb;
  broker: Broker;
  fleet: Fleet;
  keyring: Keyring;
  templates: TemplateCatalog;
  accesses: SandboxAccesses;
  objects: ObjectStore;
  /** A bucket of its own: nodes get URLs to it. */
  snapshotObjects: ObjectStore;
  snapshotKeys: SnapshotKeys;
  bodyMemory: MemoryBudget;
  signer: Signer;
  ownCredentials: OwnCredentials;
  /** This deployment's cell, two hex digits: byte 0 of each new sandbox id. */
  cellId: string;
  /** Where clients reach this deployment, without a slash at its end. */
  publicUrl: string;
  /** Whose sub-domains are sandboxes' ports, with its port where it has one; undefined: there is none. */
  sandboxDomain: string | undefined;
  /** Unix milliseconds. */
  now(): number;
}

/** What the verbs of the deployment's administrator get, who has no tenant of its own. One per request. */
export interface AdminContext extends Services {
  requestId: string;
  /** Runs on after the answer, and when the client goes away (waitUntil); its failures are logged. */
  after(work: Promise<unknown>): void;
  /** One structured line, with the request id. Never secrets, never a tenant's data. */
  log(level: 'info' | 'warn' | 'error', message: string, cause?: unknown): void;
  signal: AbortSignal;
}

/** What every other verb gets: who calls, when, and the world it may touch. */
export interface Context extends AdminContext {
  actor: Actor;
}

/** The holder of a tenant's key. */
export interface Actor {
  tenant: Tenant;
  keyId: string;
  scopes: readonly Scope[];
  keyExpiresAtMs: number | null;
}

/** Addresses a sandbox for its tenant. Another tenant's id is answered exactly as a missing one. */
export interface SandboxRef {
  tenantId: string;
  sandboxId: string;
  requestId: string;
}

/** Where a sandbox is, as its shard caches it. Stored only if its revision is not older than the last invalidation. */
export interface Route {
  tenantId: string;
  runnerId: string | null;
  epoch: number;
  revision: number;
  state: 'creating' | 'running' | 'paused' | 'ended';
  deadlineMode: 'fixed' | 'idle';
}

/** What a request to a port sends along. null: nothing, as GET does. */
export type PortContent = Uint8Array | { stream: ReadableStream<Uint8Array>; contentBytes: number | null } | null;

export interface PortAnswer {
  kind: 'answer';
  status: number;
  headers: PortHeaders;
  /** null: there can be none. Bytes: all of it. */
  body: Uint8Array | ReadableStream<Uint8Array> | null;
  /** Of a stream, where it is known. */
  contentBytes: number | undefined;
  /** Goes on after the head: the content of the request on its way. Never rejects. */
  sent: Promise<void>;
}

export interface PortSocket {
  kind: 'socket';
  /** Which of the protocols the server chose; '' none. */
  protocol: string;
  /** The answer to the client's upgrade: what it carries is joined with the server's already. */
  upgraded: Response;
}

export interface ExecResult {
  processId: string;
  stdout: Uint8Array;
  stderr: Uint8Array;
  exit: ProcessExit;
}

/** Ordered, ends after exit / end / error. Cancelling it detaches; the process lives on. */
export type EventStream = Feed<StreamEvent>;
export type StreamEvent = OutEvent & { bytes?: Uint8Array };

/**
 * The way to runners. Implemented over the Broker Durable Objects. Rejects with ServiceError: not_started (did not and will not run),
 * runner_lost (may have run, or may yet: a change of a sandbox that waits in its runner's queue), stream_lost, sandbox_ended,
 * sandbox_not_running, not_found, rate_limited, or what the runner answered.
 */
export interface Broker {
  /** Delivers a lifecycle job and waits until it is done. The caller has written its revision to the state of record before. */
  lifecycle<N extends LifecycleJobName>(
    name: N,
    runnerId: string,
    data: Omit<JobData<N>, 'reply'>,
    timeoutMs: number,
  ): Promise<SandboxOutcome>;
  /** After a lifecycle change is on record. An older revision than what the shard knows is ignored. */
  setRoute(sandboxId: string, route: Route): Promise<void>;

  /** Runs to its end and collects the output (spec.outputLimitBytes per stream). */
  exec(ref: SandboxRef, spec: ProcessSpec): Promise<ExecResult>;
  /** Starts a process; with `attach` its events follow, without the stream ends after `started`. Re-attaches by itself over a lost shard. */
  start(ref: SandboxRef, spec: ProcessSpec, attach: Attachment | null): Promise<EventStream>;
  /** To one that runs, or to the one that ended last of those that are still known. */
  attach(ref: SandboxRef, process: ProcessSelector, attach: Attachment): Promise<EventStream>;
  /** By pid or tag only a process that runs is meant. */
  control(ref: SandboxRef, process: ProcessSelector, command: ControlCommand, bytes?: Uint8Array): Promise<void>;
  processes(ref: SandboxRef): Promise<ProcessInfo[]>;
  /** Only those that run, with what they were started with. */
  processDetails(ref: SandboxRef): Promise<ProcessInfo[]>;
  /** Resolves if it runs, by its runner's word. */
  ping(ref: SandboxRef): Promise<void>;
  /** The variables that it was created with: the record forgets them once it runs. */
  environment(ref: SandboxRef): Promise<Record<string, string>>;
  metrics(ref: SandboxRef): Promise<SandboxMetrics>;
  /** The runner puts what has run in the sandbox on record; it may have ended. `place`: as the record has it. */
  reportHistory(ref: SandboxRef, place: { runnerId: string; epoch: number }): Promise<void>;
  /** What it used, oldest first, as its runner remembers; it may be paused. */
  usage(ref: SandboxRef, place: { runnerId: string; epoch: number }, query: UsageQuery): Promise<UsageSample[]>;

  /** The node that took a snapshot brings its copy to the object store, part by part. */
  uploadSnapshot(
    ref: SandboxRef,
    place: { runnerId: string; epoch: number },
    job: { snapshotId: string; parts: SnapshotPart[] },
  ): Promise<UploadedSnapshot>;
  /** The node forgets its copy of a snapshot. */
  dropSnapshot(ref: SandboxRef, place: { runnerId: string; epoch: number }, snapshotId: string): Promise<void>;

  file<O extends FileOperation>(ref: SandboxRef, operation: O, input: FileInput<O>): Promise<FileOutput<O>>;
  /** The body fails, never just ends, if it was cut. Inline up to inlineBytes, else through a paired stream. */
  readFile(ref: SandboxRef, read: FileRead): Promise<{ head: ReadHead; body: ReadableStream<Uint8Array> }>;
  /** contentBytes: null when the length is not known. A body that fails leaves the target as it was. */
  writeFile(
    ref: SandboxRef,
    write: FileWrite,
    body: ReadableStream<Uint8Array> | null,
    contentBytes: number | null,
  ): Promise<WriteResult>;
  watch(ref: SandboxRef, watch: FileWatch): Promise<EventStream>;

  /** Throws sandbox_not_running or sandbox_ended where, as its shard knows, it does not run. Costs no job. */
  ensureRunning(ref: SandboxRef): Promise<void>;
  /**
   * One HTTP request to a server inside. The body of the answer fails, never just ends, if it was cut. A signal that aborts before the answer
   * ends the request inside. Rejects with port_not_open and port_failed, too.
   */
  requestPort(ref: SandboxRef, request: PortRequest, content: PortContent, signal: AbortSignal): Promise<PortAnswer>;
  /** The same for a WebSocket; a server that refuses one answers as to any other request. */
  openPortSocket(
    ref: SandboxRef,
    request: PortRequest,
    protocols: readonly string[],
    signal: AbortSignal,
  ): Promise<PortSocket | PortAnswer>;

  /** Redis answers. */
  healthy(): Promise<boolean>;
  /** Takes one request from the key's token bucket; false when it is empty. Leased in slices, so mostly without a round trip. */
  takeRequest(keyId: string, requestsPerSecond: number): Promise<boolean>;
}

export interface PlacementRequest {
  template: string;
  network: 'on' | 'off';
  cpus: number;
  memoryMiB: number;
  /** Runners that refused this sandbox already. */
  exclude: readonly string[];
  /** The runner that has what it begins with; null: any is as good. */
  prefer: string | null;
  /** Processes are to go on in it: of the others, those that can bring them back come first. */
  restoresMemory: boolean;
}

export interface Fleet {
  /** Chooses and reserves, for up to 1 s in the order of asking; null when no node fits now. A reservation lapses by itself after 60 s or with the next heartbeat that shows the sandbox. */
  place(sandboxId: string, request: PlacementRequest): Promise<{ runnerId: string } | null>;
  /** The create that was placed is over, well or badly: the next one may go on. */
  settled(sandboxId: string): Promise<void>;
  /** Of a sandbox that is gone, or will not come: its place is free at once. */
  release(sandboxId: string): Promise<void>;
  /** Templates have changed: what the next heartbeats are answered with is read anew. */
  forgetTemplates(): Promise<void>;
  /** `online`: runners that take sandboxes now. */
  summary(): Promise<{ online: number; unreachable: number; networks: ('on' | 'off')[]; warm: number }>;
  /** Those that were heard of and have not left, as of their last heartbeats. */
  runners(): Promise<RunnerSummary[]>;
}

export interface RunnerSummary {
  runnerId: string;
  status: 'online' | 'unreachable' | 'draining';
  heardAtMs: number;
  region: string;
  cpus: number;
  memoryMiB: number;
  memoryAvailableMiB: number;
  sandboxes: number;
  sandboxLimit: number;
  networks: readonly ('on' | 'off')[];
  /** What runs the containers, as the node's engine calls it. */
  runtime: string;
  checkpoint: CheckpointCapability;
}

export type { PortHeaders, PortRequest };
