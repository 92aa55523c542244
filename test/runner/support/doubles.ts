import type { AgentSession, ProcessSink, ReaderHandle } from '../../../runner/agent/session.ts';
import type {
  CaptureRequest,
  Container,
  ContainerEngine,
  ContainerEvent,
  StartedContainer,
} from '../../../runner/engine/port.ts';
import type { EgressRules } from '../../../runner/protocol/egress.ts';
import { RunnerError } from '../../../runner/protocol/errors.ts';
import type { ProcessExit, ProcessSpec } from '../../../runner/protocol/process.ts';
import { hex } from './edge.ts';

/** The engine's port, without an engine: what the runner asked for can be looked at, and each step held up. */
export class EngineDouble implements ContainerEngine {
  readonly containers = new Map<string, Container>();
  readonly networks: ('on' | 'off')[] = ['off'];
  /** A start waits for this. */
  startGate: Promise<void> = Promise.resolve();
  pauseGate: Promise<void> = Promise.resolve();
  stopGate: Promise<void> = Promise.resolve();
  starts = 0;
  failRemovals = 0;
  failPauses = 0;
  failStops = 0;
  failRestarts = 0;
  failCheckpoints = 0;
  failRestores = 0;
  offersCheckpoints = false;
  runtime = 'runc';
  /** Of containers that were written to disk. */
  readonly checkpoints = new Set<string>();
  readonly #events: ContainerEvent[] = [];
  #listeners = 0;
  #wake: () => void = () => undefined;

  async prepare() {
    const report = { engine: 'double', cgroupVersion: 1, userNamespaces: false } as const;
    return {
      ...report,
      runtime: this.runtime,
      provenRuntime: this.runtime === 'runc',
      networks: this.networks,
      diskLimit: 'watcher' as const,
      offersCheckpoints: this.offersCheckpoints,
      notes: [],
    };
  }

  async start(request: { slot: string; egress?: EgressRules }, signal: AbortSignal): Promise<StartedContainer> {
    this.starts++;
    await this.startGate;
    signal.throwIfAborted();
    const container: Container = { id: hex(32), slot: request.slot, state: 'running' };
    this.containers.set(container.id, container);
    if (request.egress) this.egress.set(container.id, request.egress);
    return { ...container, imageEnv: { PATH: '/usr/bin' }, memoryKept: false };
  }

  resizes = 0;
  async resize() {
    this.resizes++;
  }
  readonly egress = new Map<string, EgressRules>();
  async setEgress(id: string, rules: EgressRules) {
    this.#get(id);
    this.egress.set(id, rules);
  }
  confined = true;
  async confinesFromStart() {
    return this.confined;
  }
  async pause(id: string) {
    await this.pauseGate;
    if (this.failPauses-- > 0) throw new Error('the engine is away');
    this.#get(id).state = 'paused';
  }
  async unpause(id: string) {
    this.#get(id).state = 'running';
  }
  async stop(id: string) {
    await this.stopGate;
    if (this.failStops-- > 0) throw new Error('the engine is away');
    this.#get(id).state = 'exited';
    this.emit({ kind: 'exited', containerId: id, exitCode: 137 });
  }
  async restart(id: string) {
    if (this.failRestarts-- > 0) throw new Error('the engine is away');
    this.#get(id).state = 'running';
  }
  async checkpoint(id: string) {
    await this.stopGate;
    if (this.failCheckpoints-- > 0) throw new Error('an open TCP connection');
    await this.stop(id);
    this.checkpoints.add(id);
  }
  async discardMemory(id: string) {
    this.checkpoints.delete(id);
  }
  async sharesNodeDevice() {
    return false;
  }
  async examine() {
    return { kind: undefined, filesInLayer: true, ownLimits: true };
  }
  learnRuntime() {}
  async restore(id: string) {
    if (this.failRestores-- > 0 || !this.checkpoints.delete(id)) throw new Error('unreadable images');
    this.#get(id).state = 'running';
  }
  async remove(id: string) {
    if (this.failRemovals-- > 0) throw new Error('the engine is away');
    this.containers.delete(id);
  }
  async findExit() {
    return undefined;
  }
  async list() {
    return [...this.containers.values()];
  }
  async metrics(): Promise<never> {
    throw new RunnerError('engine_failed', 'not here');
  }
  async sample() {
    return { cpuSeconds: 0, memoryUsedBytes: 1, memoryCacheBytes: 1, diskLimitBytes: 1, diskUsedBytes: 1 };
  }
  async capture(_request: CaptureRequest, _consume: unknown, _signal: AbortSignal): Promise<never> {
    throw new RunnerError('not_supported', 'not here');
  }
  async oomKills() {
    return 0;
  }
  async events(signal: AbortSignal): Promise<AsyncIterable<ContainerEvent>> {
    this.#listeners++;
    signal.addEventListener('abort', () => this.#listeners--);
    return this.#read(signal);
  }
  async *#read(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    signal.addEventListener('abort', () => this.#wake());
    while (!signal.aborted) {
      const event = this.#events.shift();
      if (event) yield event;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
  emit(event: ContainerEvent): void {
    if (this.#listeners === 0) return;
    this.#events.push(event);
    this.#wake();
  }
  async close() {}
  async dispose() {}

  #get(id: string): Container {
    const container = this.containers.get(id);
    if (!container) throw new Error('no such container');
    return container;
  }
}

interface Started {
  spec: ProcessSpec;
  sinks: Set<ProcessSink>;
}

/** An agent that does as the test says: processes start at once and end when told. */
export class SessionDouble implements AgentSession {
  readonly connected = true;
  readonly started: Map<string, Started>;
  readonly signals: string[] = [];
  readonly stdin: string[] = [];
  configured: { env: Record<string, string>; cwd: string } | undefined;
  granted = 0;
  closed = false;
  hungUp = false;

  /** `before`: the same agent, as the runner's last life knew it. */
  constructor(before?: SessionDouble) {
    const running = [...(before?.started ?? [])];
    this.started = new Map(running.map(([processId, { spec }]) => [processId, { spec, sinks: new Set() }]));
  }

  async ready() {}
  async configure(config: { env: Record<string, string>; cwd: string }) {
    this.configured = config;
  }
  async start(spec: ProcessSpec, reader: { sink: ProcessSink } | null) {
    const sinks = new Set(reader ? [reader.sink] : []);
    this.started.set(spec.processId, { spec, sinks });
    return { pid: 42, reader: reader ? this.#handle(sinks, reader.sink) : null };
  }
  /** An attachment waits for this, as one does whose answer is on its way. */
  attachGate: Promise<void> = Promise.resolve();
  attached = 0;
  async attach(processId: string, _attach: unknown, sink: ProcessSink) {
    this.attached++;
    const { sinks } = this.get(processId);
    sinks.add(sink);
    await this.attachGate;
    return { ...this.#handle(sinks, sink), offset: 0 };
  }
  async list() {
    return [];
  }
  async writeStdin(_processId: string, bytes: Uint8Array) {
    this.stdin.push(Buffer.from(bytes).toString());
  }
  async closeStdin() {}
  async resize() {}
  async signal(processId: string, name: string) {
    this.signals.push(`${processId} ${name}`);
  }
  async terminateAll() {}
  async file(): Promise<never> {
    throw new RunnerError('file_not_found', 'There is no such file.');
  }
  async read(): Promise<never> {
    throw new RunnerError('file_not_found', 'There is no such file.');
  }
  async write(): Promise<never> {
    throw new RunnerError('file_not_found', 'There is no such file.');
  }
  async watch() {
    return { close: () => undefined };
  }
  async connect(): Promise<never> {
    throw new RunnerError('port_not_open', 'Nothing listens there.');
  }
  async hangUp() {
    this.hungUp = true;
  }
  async listen() {
    this.hungUp = false;
  }
  async close() {
    this.closed = true;
  }

  get(processId: string): Started {
    const started = this.started.get(processId);
    if (!started) throw new RunnerError('process_not_found', 'There is no such process.');
    return started;
  }
  say(processId: string, offset: number, text: string, readers = this.get(processId).sinks.size): void {
    for (const sink of [...this.get(processId).sinks].slice(0, readers)) sink.data(1, offset, Buffer.from(text));
  }
  /** All readers are told, or the one that came at `reader`. */
  end(processId: string, exit: Partial<ProcessExit> = {}, outputBytes = 0, reader?: number): void {
    const whole: ProcessExit = {
      exitCode: 0,
      signal: null,
      reason: 'exited',
      durationMs: 1,
      droppedStdoutBytes: 0,
      droppedStderrBytes: 0,
      ...exit,
    };
    const sinks = [...this.get(processId).sinks];
    for (const sink of reader === undefined ? sinks : sinks.slice(reader, reader + 1)) sink.exit(whole, outputBytes);
  }

  #handle(sinks: Set<ProcessSink>, sink: ProcessSink): ReaderHandle {
    return { grant: (bytes) => (this.granted += bytes), detach: () => sinks.delete(sink) };
  }
}
