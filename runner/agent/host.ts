import { rm } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import type { z } from 'zod';
import type { AgentEvent, AgentHello } from '../protocol/agent.ts';
import { agentProtocol, frameBounds } from '../protocol/agent.ts';
import type { RunnerError } from '../protocol/errors.ts';
import type { FileInput, FileOperation, FileOutput, FileRead, FileWatch, FileWrite } from '../protocol/files.ts';
import type { ReadHead, WriteResult } from '../protocol/files.ts';
import { fileOperations, readHead, writeResult } from '../protocol/files.ts';
import { limits } from '../protocol/limits.ts';
import type { Attachment, ProcessInfo, ProcessSpec, SignalName } from '../protocol/process.ts';
import { ControlConnection, unavailable } from './connection.ts';
import { ExpectedData } from './data.ts';
import { forwardOver } from './forward.ts';
import type { Accepted, AgentLog } from './listener.ts';
import { AgentListener } from './listener.ts';
import { PendingRequests, type RequestKind } from './pending.ts';
import { HostReaders } from './readers.ts';
import { attachedShape, nothingShape, processListShape, startedShape } from './replies.ts';
import { resumeInTurn } from './resumption.ts';
import type { AgentSession, ProcessSink, ReaderHandle, WatchSink } from './session.ts';
import { readOver, writeOver } from './transfers.ts';
import { HostWatches } from './watches.ts';

/** How long a request waits for an agent that is not connected: it redials every 100 ms. */
const reconnectMs = 2_000;
const requestMs = 10_000;
/** Trees are removed and copied whole. */
const fileMs = 120_000;
const longReplies: ReadonlySet<FileOperation> = new Set(['list', 'watcherEvents']);
/** A piece of stdin: until the agent has been there to be sent it, and until it has answered. Together less than stdinAnswerMs. */
const stdinConnectMs = 5_000;
const stdinMs = limits.stdinWaitMs + 1_000;

/** Makes `socketDir` and listens there; the engine mounts it read-only into the sandbox at SOCKET_MOUNT. */
export async function createAgentSession(options: { socketDir: string; log: AgentLog }): Promise<AgentSession> {
  const session = new HostSession(options.socketDir, options.log);
  await session.listen();
  return session;
}

class HostSession implements AgentSession {
  #connection: ControlConnection | undefined;
  /** Of the agent that this session belongs to: another one knows none of its processes. */
  #boot: string | undefined;
  #gone = false;
  /** Until the agent is back: what is asked meanwhile waits for it as long as for its answer. */
  #hungUp = false;
  #arrivals: { resolve(connection: ControlConnection): void; reject(error: RunnerError): void }[] = [];
  readonly #socketDir: string;
  readonly #log: AgentLog;
  readonly #listener: AgentListener;
  readonly #expected = new ExpectedData();
  readonly #watches = new HostWatches();
  readonly #readers = new HostReaders((frame) => this.#connection?.send(frame));

  constructor(socketDir: string, log: AgentLog) {
    this.#socketDir = socketDir;
    this.#log = log;
    this.#listener = new AgentListener({
      socketDir,
      log,
      frameBytes: () =>
        this.#connection?.pending.awaitsLongReply === true ? frameBounds.longReplyBytes : frameBounds.frameBytes,
      accept: (accepted) => this.#accept(accepted, accepted.hello),
      misbehaved: () => this.#end(),
    });
  }

  async listen(): Promise<void> {
    await this.#listener.listen();
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  async ready(timeoutMs: number): Promise<void> {
    await this.#connect(timeoutMs);
  }

  async configure(config: { env: Record<string, string>; cwd: string }): Promise<void> {
    await this.#request({ op: 'configure', ...config }, nothingShape);
  }

  async start(
    spec: ProcessSpec,
    asked: { attach: Attachment; sink: ProcessSink } | null,
  ): Promise<{ pid: number; reader: ReaderHandle | null }> {
    const connection = await this.#connect(reconnectMs);
    const reader = asked === null ? null : this.#readers.add(spec.processId, asked.attach, asked.sink);
    const wire = reader === null || asked === null ? null : { id: reader.id, attach: asked.attach };
    try {
      const { pid } = await connection.request({ op: 'start', spec, reader: wire }, startedShape, requestMs);
      return { pid, reader: reader?.handle ?? null };
    } catch (error) {
      reader?.handle.detach();
      throw error;
    }
  }

  async attach(processId: string, attach: Attachment, sink: ProcessSink): Promise<ReaderHandle & { offset: number }> {
    const connection = await this.#connect(reconnectMs);
    const reader = this.#readers.add(processId, attach, sink);
    try {
      const wire = { id: reader.id, attach };
      const { offset } = await connection.request({ op: 'attach', processId, reader: wire }, attachedShape, requestMs);
      this.#readers.begun(reader.id, offset);
      return { ...reader.handle, offset };
    } catch (error) {
      reader.handle.detach();
      throw error;
    }
  }

  async list(details = false): Promise<ProcessInfo[]> {
    return await this.#request({ op: 'list', details }, processListShape, requestMs, 'long');
  }

  async writeStdin(processId: string, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += frameBounds.stdinBytes) {
      const connection = await this.#connect(reconnectMs, stdinConnectMs);
      await connection.stdin(processId, bytes.subarray(at, at + frameBounds.stdinBytes), nothingShape, stdinMs);
    }
  }

  async closeStdin(processId: string): Promise<void> {
    await this.#request({ op: 'close_stdin', processId }, nothingShape);
  }

  async resize(processId: string, size: { cols: number; rows: number }): Promise<void> {
    await this.#request({ op: 'resize', processId, ...size }, nothingShape);
  }

  async signal(processId: string, signal: SignalName): Promise<void> {
    await this.#request({ op: 'signal', processId, signal }, nothingShape);
  }

  async terminateAll(graceMs: number): Promise<void> {
    await this.#request({ op: 'terminate', graceMs }, nothingShape, graceMs + requestMs);
  }

  async file<O extends FileOperation>(operation: O, input: FileInput<O>): Promise<FileOutput<O>> {
    // The output's type follows from the operation, which the compiler cannot see through the lookup.
    const shape = fileOperations[operation].output as unknown as z.ZodType<FileOutput<O>>;
    return await this.#request(
      { op: 'file', operation, input },
      shape,
      fileMs,
      longReplies.has(operation) ? 'long' : 'ordinary',
    );
  }

  async read(request: FileRead, signal: AbortSignal): Promise<{ head: ReadHead; body: AsyncIterable<Uint8Array> }> {
    const ask = (token: string): Promise<ReadHead> => this.#request({ op: 'read', read: request, token }, readHead);
    return await readOver(this.#expected, ask, signal);
  }

  async write(request: FileWrite, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<WriteResult> {
    const ask = (token: string, timeoutMs: number): Promise<WriteResult> =>
      this.#request({ op: 'write', write: request, token }, writeResult, timeoutMs);
    return await writeOver(this.#expected, ask, body, signal);
  }

  async watch(request: FileWatch, sink: WatchSink): Promise<{ close(): void }> {
    return await this.#watches.open(request, sink, (body) => this.#request(body, nothingShape));
  }

  async connect(port: number, idleMs: number | undefined): Promise<Duplex> {
    const ask = (token: string): Promise<null> => this.#request({ op: 'connect', port, token }, nothingShape);
    return await forwardOver(this.#expected, ask, idleMs);
  }

  async hangUp(): Promise<void> {
    this.#hungUp = true;
    this.#connection?.close();
    this.#drop();
    this.#expected.failAll(unavailable());
    await this.#listener.hangUp();
  }

  async close(): Promise<void> {
    this.#end();
    await this.#listener.close();
    await rm(this.#socketDir, { recursive: true, force: true });
  }

  async #request<T>(
    body: Parameters<ControlConnection['request']>[0],
    shape: z.ZodType<T>,
    timeoutMs = requestMs,
    kind: RequestKind = 'ordinary',
  ): Promise<T> {
    const connection = await this.#connect(reconnectMs);
    return await connection.request(body, shape, timeoutMs, kind);
  }

  #connect(timeoutMs: number, hungUpMs = requestMs): Promise<ControlConnection> | ControlConnection {
    if (this.#connection !== undefined) return this.#connection;
    if (this.#gone) throw unavailable('The sandbox is gone.');
    const waitMs = this.#hungUp ? Math.max(timeoutMs, hungUpMs) : timeoutMs;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#arrivals = this.#arrivals.filter((other) => other !== arrival);
        reject(unavailable());
      }, waitMs);
      const arrival = {
        resolve: (connection: ControlConnection) => {
          clearTimeout(timer);
          resolve(connection);
        },
        reject: (error: RunnerError) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#arrivals.push(arrival);
    });
  }

  /** Whether it was expected. */
  #accept(accepted: Accepted, hello: AgentHello): boolean {
    if (hello.role === 'data') {
      if (this.#expected.arrived(hello.token, accepted)) return true;
      this.#listener.violation(accepted.socket, 'a data connection that was not asked for');
      return false;
    }
    if (hello.protocol !== agentProtocol) {
      this.#listener.violation(accepted.socket, `protocol ${hello.protocol} instead of ${agentProtocol}`);
      return false;
    }
    if (this.#boot !== undefined && this.#boot !== hello.boot) this.#readers.loseAll();
    this.#boot = hello.boot;
    this.#connection?.close();
    this.#drop();
    const connection = new ControlConnection(accepted, new PendingRequests(), {
      output: (payload) => this.#readers.output(payload),
      event: (event) => this.#event(event),
      violation: (socket, reason) => this.#listener.violation(socket, reason),
      closed: (closed) => {
        if (closed === this.#connection) this.#drop();
      },
    });
    this.#connection = connection;
    this.#hungUp = false;
    this.#resume(connection);
    for (const arrival of this.#arrivals.splice(0)) arrival.resolve(connection);
    return false;
  }

  /** What was under way on the connection before this one goes on. */
  #resume(connection: ControlConnection): void {
    const log = this.#log;
    const readers = this.#readers.resumable(
      async (processId, reader, timeoutMs) =>
        (await connection.request({ op: 'attach', processId, reader }, attachedShape, timeoutMs, 'resumed')).offset,
      (processId, error) => log('a reader could not be attached again', { processId, error: String(error) }),
    );
    const watches = this.#watches.resumable(
      (body, timeoutMs) => connection.request(body, nothingShape, timeoutMs, 'resumed'),
      (path, error) => log('a watch could not be opened again', { path, error: String(error) }),
    );
    void resumeInTurn([...readers, ...watches], () => connection === this.#connection);
  }

  #drop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.pending.failAll(unavailable());
  }

  #event(event: AgentEvent): void {
    switch (event.event) {
      case 'lagged':
        return this.#readers.lagged(event);
      case 'exit':
        return this.#readers.exited(event);
      case 'watch':
        return this.#watches.event(event);
      default:
        return event satisfies never;
    }
  }

  #end(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#connection?.close();
    this.#drop();
    for (const arrival of this.#arrivals.splice(0)) arrival.reject(unavailable('The sandbox is gone.'));
    this.#expected.failAll(unavailable('The sandbox is gone.'));
    this.#watches.clear();
    this.#readers.loseAll();
  }
}
