import type { AgentRequest } from '../../protocol/agent.ts';
import { limits } from '../../protocol/limits.ts';
import type { ProcessInfo, ProcessSpec } from '../../protocol/process.ts';
import { AgentFault } from './fault.ts';
import type { Identity } from './identity.ts';
import { asIdentity, identityOf } from './identity.ts';
import { EndedProcesses } from './ended-processes.ts';
import { noteActivity } from './memory.ts';
import { ManagedProcess } from './process.ts';
import type { NotRunnable, Program } from './program.ts';
import { environmentOf, resolveCwd, resolveProgram } from './program.ts';
import type { Outlet } from './reader.ts';
import type { ReaderRequest } from './reader-table.ts';
import { ReaderTable } from './reader-table.ts';
import type { ShellSession } from './shell-sessions.ts';
import { ShellSessions, StateFile } from './shell-sessions.ts';
import { notExecuted, startProgram } from './start-program.ts';

/** How long the answer to a SIGKILL waits for the process to be gone. */
const killedWithinMs = 500;
/** Ended processes are kept for endedProcessTtlMs, but no more than this many and with no more output than this. */
const endedMax = 1024;
const endedOutputBytesMax = 32 * 1024 * 1024;

/** A command's place in its session, once its turn has come. */
interface Turn {
  session: ShellSession;
  process: ManagedProcess;
}

interface Place {
  spec: ProcessSpec;
  identity: Identity;
  cwd: string;
  env: Record<string, string>;
}

/** Every process of the sandbox that the host knows. Outlives control connections. */
export class ProcessTable {
  #env: Record<string, string> = {};
  #cwd: string | undefined;
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #readers = new ReaderTable();
  readonly #ended = new EndedProcesses<ManagedProcess>({
    ttlMs: limits.endedProcessTtlMs,
    countMax: endedMax,
    outputBytesMax: endedOutputBytesMax,
    onForget: (process) => {
      for (const reader of process.readers) reader.expire();
      this.#processes.delete(process.id);
    },
    onSwept: () => noteActivity(0),
  });
  readonly #sessions = new ShellSessions();

  configure(env: Record<string, string>, cwd: string): void {
    this.#env = env;
    this.#cwd = cwd;
  }

  start(spec: ProcessSpec, asked: ReaderRequest | null, outlet: Outlet): { pid: number } {
    if (this.#processes.has(spec.processId)) {
      throw new AgentFault('process_exists', 'A process with this id was started before.');
    }
    if (this.#processes.size - this.#ended.count >= limits.processesPerSandbox) {
      throw new AgentFault(
        'too_many_processes',
        `The sandbox runs ${limits.processesPerSandbox} processes already; end some first.`,
      );
    }
    const register = (made: ManagedProcess): void => {
      this.#processes.set(made.id, made);
      if (asked !== null) this.#readers.add(made, asked, outlet);
    };
    if (spec.session !== undefined) return { pid: this.#startInSession(spec, spec.session, register).pid };
    const process = this.#launch(spec, undefined, register);
    feed(process, spec);
    return { pid: process.pid };
  }

  attach(processId: string, asked: ReaderRequest, outlet: Outlet): { offset: number } {
    const process = this.#get(processId);
    const { fromOffset } = asked.attach;
    const offset = fromOffset === 'end' ? process.ring.end : fromOffset;
    const reader = this.#readers.add(process, asked, outlet);
    if (process.exit === null) reader.pump();
    else reader.end(process.exit, process.ring.end);
    // It may have waited for this one.
    process.readersChanged();
    return { offset };
  }

  grant(reader: number, bytes: number): void {
    this.#readers.grant(reader, bytes);
  }

  detach(reader: number): void {
    this.#readers.detach(reader);
  }

  connectionLost(): void {
    this.#readers.connectionLost();
  }

  list(details: boolean): ProcessInfo[] {
    const all = [...this.#processes.values()];
    if (!details) return all.map((process) => process.info());
    return all
      .filter((process) => process.exit === null)
      .map((process) => ({ ...process.info(), started: process.startedWith }));
  }

  async writeStdin(processId: string, bytes: Uint8Array): Promise<void> {
    await this.#stdinOf(processId).write(bytes);
  }

  async closeStdin(processId: string): Promise<void> {
    await this.#stdinOf(processId).close();
  }

  resize(processId: string, cols: number, rows: number): void {
    const process = this.#get(processId);
    if (!process.isTerminal) throw new AgentFault('not_a_pty', 'The process has no terminal to resize.');
    if (process.exit === null) process.child?.resize(cols, rows);
  }

  /** A SIGKILL is answered when the process is gone, so that who looks then finds it so; one that can't die yet holds nobody up for long. */
  async signal({ processId, signal }: Extract<AgentRequest, { op: 'signal' }>): Promise<void> {
    const process = this.#get(processId);
    process.signal(signal);
    if (signal === 'SIGKILL') await process.whenDead(killedWithinMs);
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

  /** A command that has to wait has the agent's own pid until its turn. */
  #startInSession(spec: ProcessSpec, name: string, register: (process: ManagedProcess) => void): ManagedProcess {
    if (spec.pty !== undefined) throw new AgentFault('invalid_argument', 'A command in a session has no terminal.');
    const { uid, gid, home } = identityOf(spec.user);
    // Each user has sessions of its own: what one exports must not reach another's commands.
    const session = this.#sessions.get(`${uid}:${gid}/${name}`);
    const process = new ManagedProcess(
      spec,
      spec.cwd ?? session.state?.cwd ?? spec.sessionCwd ?? this.#cwd ?? home,
      (ended) => this.#ended.add(ended),
    );
    const turn = { session, process };
    if (session.free) {
      this.#takeTurn(spec, turn, register);
      return process;
    }
    const bytes = heldBytes(spec);
    this.#sessions.checkRoom(session, bytes);
    register(process);
    const begin = (): void => {
      try {
        this.#takeTurn(spec, turn, () => undefined);
      } catch (error) {
        // It was accepted, so whoever reads it is told as a shell would.
        if (!(error instanceof AgentFault)) console.error('session', error);
        process.neverRan(126, error instanceof AgentFault ? error.message : 'The command could not be started.');
      }
    };
    session.enqueue({ process, bytes, begin });
    return process;
  }

  #takeTurn(spec: ProcessSpec, turn: Turn, register: (process: ManagedProcess) => void): void {
    const { session, process } = turn;
    session.occupy(process);
    process.onDeath = () => session.release(process);
    try {
      feed(this.#launch(spec, turn, register), spec);
    } catch (error) {
      process.onDeath();
      throw error;
    }
  }

  /** Call it with the user's identity. A directory that a session was in may be gone: then it goes on where it began, or in the default one. */
  #cwdOf(spec: ProcessSpec, home: string, saved: string | undefined): string {
    if (spec.cwd !== undefined) return resolveCwd(spec.cwd, home);
    for (const directory of [saved, spec.sessionCwd]) {
      try {
        if (directory !== undefined) return resolveCwd(directory, home);
      } catch (error) {
        if (!(error instanceof AgentFault && error.code === 'cwd_not_found')) throw error;
      }
    }
    return resolveCwd(this.#cwd ?? home, home);
  }

  #launch(spec: ProcessSpec, turn: Turn | undefined, register: (process: ManagedProcess) => void): ManagedProcess {
    const identity = identityOf(spec.user);
    const saved = turn?.session.state;
    const env = saved === undefined ? environmentOf(identity, this.#env, spec) : { ...saved.env, ...spec.env };
    return asIdentity(identity, () => {
      const cwd = this.#cwdOf(spec, identity.home, saved?.cwd);
      const process = turn?.process ?? new ManagedProcess(spec, cwd, (ended) => this.#ended.add(ended));
      const program = resolveProgram(spec.command, env['PATH'] ?? '', cwd, turn !== undefined);
      const stateFd = turn === undefined ? undefined : this.#enterTurn(turn, program, { spec, identity, cwd, env });
      if ('exitCode' in program) {
        register(process);
        process.neverRan(program.exitCode, program.message);
        return process;
      }
      const launch = { identity, cwd, env, stdin: spec.stdin, pty: spec.pty };
      try {
        process.started(startProgram({ ...launch, program, stateFd }, process));
        register(process);
      } catch (error) {
        const failed = notExecuted(error, program.argv[0] ?? program.path);
        register(process);
        process.neverRan(failed.exitCode, failed.message);
      }
      return process;
    });
  }

  /** From here on the end of its program, however it comes, is the end of its turn. */
  #enterTurn({ session, process }: Turn, program: Program | NotRunnable, { spec, identity, cwd, env }: Place) {
    process.cwd = cwd;
    if (cwd === session.state?.cwd) env['PWD'] = cwd;
    if (!('savesState' in program)) return undefined;
    const file = new StateFile();
    const before = session.state?.env ?? environmentOf(identity, this.#env, { env: {} });
    process.onDeath = () => {
      process.onDeath = undefined;
      session.state = file.take(env, spec.env, before) ?? session.state;
      session.release(process);
    };
    return file.fd;
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
}

function feed(process: ManagedProcess, spec: ProcessSpec): void {
  const stdin = process.child?.stdin;
  if (spec.stdinBase64 !== undefined) stdin?.write(Buffer.from(spec.stdinBase64, 'base64')).catch(() => undefined);
  if (spec.stdinEnds) stdin?.close()?.catch(() => undefined);
}

/** What a command that waits holds, in characters, which are bytes for most. */
function heldBytes({ command, env, stdinBase64 }: ProcessSpec): number {
  const words = command.kind === 'shell' ? [command.script] : command.argv;
  return [...words, ...Object.entries(env).flat(), stdinBase64 ?? ''].reduce((sum, text) => sum + text.length, 0);
}
