import type { Duplex } from 'node:stream';
import type { Attachment, ProcessExit, ProcessInfo, ProcessSpec, SignalName } from '../protocol/process.ts';
import type {
  FileInput,
  FileOperation,
  FileOutput,
  FileRead,
  FileWatch,
  FileWrite,
  ReadHead,
  WatchEvent,
  WriteResult,
} from '../protocol/files.ts';

/**
 * The host's side of one sandbox's agent. Implementations parse all that the agent says with bounds: it is untrusted. Every
 * method rejects with a RunnerError (agent_unavailable while there is no connection for longer than the redial takes).
 */
export interface AgentSession {
  /** Resolves once the agent has dialled in and said which protocol it speaks. */
  ready(timeoutMs: number): Promise<void>;
  readonly connected: boolean;
  /** Sent once after a claim, before anything runs: the sandbox's environment, host name-free defaults. */
  configure(config: { env: Record<string, string>; cwd: string }): Promise<void>;

  /** Starts a process; its reader is attached before its first byte. Resolves with its pid. */
  start(
    spec: ProcessSpec,
    reader: { attach: Attachment; sink: ProcessSink } | null,
  ): Promise<{ pid: number; reader: ReaderHandle | null }>;
  attach(processId: string, attach: Attachment, sink: ProcessSink): Promise<ReaderHandle & { offset: number }>;
  /** `details`: only those that run, with what they were started with. */
  list(details?: boolean): Promise<ProcessInfo[]>;
  /** Resolves when the agent has taken the bytes (written or buffered within its bound). */
  writeStdin(processId: string, bytes: Uint8Array): Promise<void>;
  closeStdin(processId: string): Promise<void>;
  resize(processId: string, size: { cols: number; rows: number }): Promise<void>;
  /** To the whole process group. */
  signal(processId: string, signal: SignalName): Promise<void>;
  /** SIGTERM to every process group, then SIGKILL after graceMs. */
  terminateAll(graceMs: number): Promise<void>;

  file<O extends FileOperation>(operation: O, input: FileInput<O>): Promise<FileOutput<O>>;
  /** The stream fails (never just ends) when the bytes could not be delivered whole. */
  read(request: FileRead, signal: AbortSignal): Promise<{ head: ReadHead; body: AsyncIterable<Uint8Array> }>;
  /** Consumes `body` to its end; an error thrown by it, or an abort, leaves the target as it was. */
  write(request: FileWrite, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<WriteResult>;
  watch(request: FileWatch, sink: WatchSink): Promise<{ close(): void }>;

  /**
   * A TCP connection to a server that listens inside; throws port_not_open. Half-close goes either way; it fails, never just ends, when it
   * is cut, and when nothing moves on it for `idleMs`.
   */
  connect(port: number, idleMs: number | undefined): Promise<Duplex>;

  /**
   * Cuts all connections and takes none until listen(): a process that is written to disk must have none to the host. Readers and watches
   * go on when the agent is back; transfers are cut.
   */
  hangUp(): Promise<void>;
  listen(): Promise<void>;

  /** Ends the session: stops listening, removes the socket directory, fails all that is pending. */
  close(): Promise<void>;
}

/** Called in order; must not throw. Bytes are the callee's to keep. */
export interface ProcessSink {
  data(fd: 0 | 1 | 2, offset: number, bytes: Uint8Array): void;
  lagged(droppedBytes: number, detached: boolean): void;
  exit(exit: ProcessExit, outputBytes: number): void;
  /** The agent is gone for good: nothing more will come. */
  lost(): void;
}

/** Must not throw. */
export interface WatchSink {
  events(events: WatchEvent[], droppedEvents: number): void;
  /** It could not be opened again when the agent was back, for this reason: nothing more will come. */
  lost(error: unknown): void;
}

/** What `attach` gives says at which offset it begins. */
export interface ReaderHandle {
  grant(bytes: number): void;
  detach(): void;
}
