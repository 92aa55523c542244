import type { AgentRequest } from '../../protocol/agent.ts';
import { limits } from '../../protocol/limits.ts';
import type { Attachment, ProcessInfo, ProcessSpec } from '../../protocol/process.ts';
import { startChild } from './child.ts';
import { AgentFault, errnoOf } from './fault.ts';
import { asIdentity, identityOf } from './identity.ts';
import type { Child, ChildEvents, Launch } from './launch.ts';
import { noteActivity } from './memory.ts';
import { ManagedProcess } from './process.ts';
import type { NotRunnable } from './program.ts';
import { environmentOf, resolveCwd, resolveProgram } from './program.ts';
import type { Outlet } from './reader.ts';
import { Reader } from './reader.ts';

/** Ended processes are kept for endedProcessTtlMs, but no more than this many and with no more output than this. */
const endedMax = 1024;
const endedOutputBytesMax = 32 * 1024 * 1024;
/** Many ends in a row are forgotten in one go. */
const sweepMs = 1_000;

interface ReaderRequest {
  id: number;
  attach: Attachment;
}

/** Every process of the sandbox that the host knows. Outlives control connections. */
export class ProcessTable {
  #env: Record<string, string> = {};
  #cwd: string | undefined;
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #readers = new Map<number, { reader: Reader; process: ManagedProcess }>();
  /** In the order of their ends; `at` by the monotonic clock. */
  #ended: { process: ManagedProcess; at: number }[] = [];
  #sweep: Timer | undefined;

  configure(env: Record<string, string>, cwd: string): void {
    this.#env = env;
    this.#cwd = cwd;
  }

  start(spec: ProcessSpec, asked: ReaderRequest | null, outlet: Outlet): { pid: number } {
    if (this.#processes.has(spec.processId)) {
      throw new AgentFault('process_exists', 'A process with this id was started before.');
    }
    if (this.#processes.size - this.#ended.length >= limits.processesPerSandbox) {
      throw new AgentFault(
        'too_many_processes',
        `The sandbox runs ${limits.processesPerSandbox} processes already; end some first.`,
      );
    }
    const process = this.#launch(spec, (made) => {
      this.#processes.set(made.id, made);
      if (asked !== null) this.#addReader(made, asked, outlet);
    });
    if (spec.stdinBase64 !== undefined) {
      process.child?.stdin?.write(Buffer.from(spec.stdinBase64, 'base64')).catch(() => undefined);
    }
    if (spec.stdinEnds) process.child?.stdin?.close();
    return { pid: process.pid };
  }

  attach(processId: string, asked: ReaderRequest, outlet: Outlet): void {
    const process = this.#get(processId);
    const reader = this.#addReader(process, asked, outlet);
    if (process.exit === null) reader.pump();
    else reader.end(process.exit, process.ring.end);
  }

  grant(reader: number, bytes: number): void {
    const entry = this.#readers.get(reader);
    entry?.reader.grant(bytes);
    entry?.process.readersChanged();
  }

  detach(reader: number): void {
    const entry = this.#readers.get(reader);
    if (entry === undefined) return;
    this.#readers.delete(reader);
    entry.reader.close();
    entry.process.readers.delete(entry.reader);
    entry.process.readersChanged();
  }

  /** The control connection is gone, and its readers with it. The processes live on. */
  detachAll(): void {
    for (const id of this.#readers.keys()) this.detach(id);
  }

  list(): ProcessInfo[] {
    return [...this.#processes.values()].map((process) => process.info());
  }

  async writeStdin(processId: string, bytes: Uint8Array): Promise<void> {
    await this.#stdinOf(processId).write(bytes);
  }

  closeStdin(processId: string): void {
    this.#stdinOf(processId).close();
  }

  resize(processId: string, cols: number, rows: number): void {
    const process = this.#get(processId);
    if (!process.isTerminal) throw new AgentFault('not_a_pty', 'The process has no terminal to resize.');
    if (process.exit === null) process.child?.resize(cols, rows);
  }

  signal({ processId, signal }: Extract<AgentRequest, { op: 'signal' }>): void {
    this.#get(processId).signal(signal);
  }

  /** Resolves when all have ended or have been killed. */
  async terminate(graceMs: number): Promise<void> {
    const all = [...this.#processes.values()];
    for (const process of all) process.terminate(false);
    const until = performance.now() + graceMs;
    while (performance.now() < until && all.some((process) => process.exit === null)) {
      await Bun.sleep(Math.min(20, until - performance.now()));
    }
    for (const process of all) process.terminate(true);
  }

  #launch(spec: ProcessSpec, register: (process: ManagedProcess) => void): ManagedProcess {
    const identity = identityOf(spec.user);
    const env = environmentOf(identity, this.#env, spec.env, spec.pty !== undefined);
    return asIdentity(identity, () => {
      const cwd = resolveCwd(spec.cwd ?? this.#cwd ?? identity.home, identity.home);
      const process = new ManagedProcess(spec, cwd, (ended) => this.#onEnd(ended));
      const program = resolveProgram(spec.command, env['PATH'] ?? '', cwd);
      if ('exitCode' in program) {
        register(process);
        process.neverRan(program.exitCode, program.message);
        return process;
      }
      const launch = { identity, cwd, env, stdin: spec.stdin, pty: spec.pty };
      try {
        process.started(startProgram({ ...launch, program }, process));
        register(process);
      } catch (error) {
        const failed = notExecuted(error, program.argv[0] ?? program.path);
        register(process);
        process.neverRan(failed.exitCode, failed.message);
      }
      return process;
    });
  }

  #get(processId: string): ManagedProcess {
    const process = this.#processes.get(processId);
    if (process === undefined) throw new AgentFault('process_not_found', 'The sandbox knows no process with this id.');
    return process;
  }

  #stdinOf(processId: string) {
    const process = this.#get(processId);
    const stdin = process.child?.stdin;
    if (process.exit !== null || stdin === undefined) {
      throw new AgentFault('stdin_closed', 'The standard input of the process is closed.');
    }
    return stdin;
  }

  #addReader(process: ManagedProcess, asked: ReaderRequest, outlet: Outlet): Reader {
    const reader = new Reader(asked.id, asked.attach, process.ring, outlet, () => this.detach(asked.id));
    this.#readers.set(asked.id, { reader, process });
    process.readers.add(reader);
    return reader;
  }

  #onEnd(process: ManagedProcess): void {
    this.#ended.push({ process, at: performance.now() });
    this.#forgetEnded();
  }

  #forgetEnded(): void {
    const oldest = performance.now() - limits.endedProcessTtlMs;
    let held = this.#ended.reduce((sum, { process }) => sum + process.ring.heldBytes, 0);
    let forget = 0;
    for (const { process, at } of this.#ended) {
      const over = this.#ended.length - forget > endedMax || held > endedOutputBytesMax;
      if (at > oldest && !over) break;
      held -= process.ring.heldBytes;
      for (const reader of process.readers) reader.expire();
      this.#processes.delete(process.id);
      forget += 1;
    }
    if (forget > 0) noteActivity(0);
    this.#ended.splice(0, forget);
    const [next] = this.#ended;
    if (next === undefined || this.#sweep !== undefined) return;
    this.#sweep = setTimeout(
      () => {
        this.#sweep = undefined;
        this.#forgetEnded();
      },
      Math.max(sweepMs, next.at + limits.endedProcessTtlMs - performance.now()),
    );
  }
}

/** A file without «#!» is a shell's script, as execvp(3) has it. */
function startProgram(launch: Launch, events: ChildEvents): Child {
  try {
    return startChild(launch, events);
  } catch (error) {
    if (errnoOf(error) !== 'ENOEXEC') throw error;
    const { path, argv } = launch.program;
    return startChild({ ...launch, program: { path: '/bin/sh', argv: ['sh', path, ...argv.slice(1)] } }, events);
  }
}

/** The kernel refused to execute what was found: as a shell says it. */
function notExecuted(error: unknown, name: string): NotRunnable {
  const shown = name.slice(0, 256);
  switch (errnoOf(error)) {
    case 'ENOENT':
      return { exitCode: 127, message: `${shown}: its interpreter was not found` };
    case 'EACCES':
    case 'EPERM':
      return { exitCode: 126, message: `${shown}: permission denied` };
    case 'E2BIG':
      return { exitCode: 126, message: `${shown}: argument list too long` };
    case 'ENOEXEC':
      return { exitCode: 126, message: `${shown}: cannot execute: exec format error` };
    case 'ETXTBSY':
      return { exitCode: 126, message: `${shown}: text file busy` };
    case 'ELIBBAD':
      return { exitCode: 126, message: `${shown}: a damaged library` };
    default:
      throw error;
  }
}
