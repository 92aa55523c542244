import { limits } from '../../protocol/limits.ts';
import type { Command, ProcessExit, ProcessInfo, ProcessSpec, SignalName } from '../../protocol/process.ts';
import type { Child, ChildEvents } from './launch.ts';
import { noteActivity } from './memory.ts';
import type { Reader } from './reader.ts';
import { OutputRing } from './ring.ts';
import type { OutputFd } from './ring.ts';
import { signalSession } from './session.ts';

/** A descendant that goes on writing must not hold an exited process for longer than this. */
const exitDrainMaxMs = 1_000;
/** What a process can leave behind in its pipes: 64 KiB each, or as much as an ordinary user may enlarge them to. */
const exitDrainBytesMax = 2 * 1024 * 1024;

/** One process of the sandbox: its turn, its output, its readers, its end. */
export class ManagedProcess implements ChildEvents {
  readonly ring = new OutputRing();
  readonly readers = new Set<Reader>();
  exit: ProcessExit | null = null;
  /** Without the script and stdin, which may be large. */
  readonly #spec: Omit<ProcessSpec, 'command' | 'cwd' | 'env' | 'stdin' | 'stdinBase64' | 'stdinEnds'>;
  readonly #command: string;
  readonly startedWith: NonNullable<ProcessInfo['started']>;
  cwd: string;
  readonly #startedAt = Date.now();
  readonly #startedTick = performance.now();
  readonly #onEnd: (process: ManagedProcess) => void;
  #child: Child | undefined;
  /** Of a command that could not be executed: the agent's own, which stood for it. */
  #pid = process.pid;
  #written: Record<OutputFd, number> = { 0: 0, 1: 0, 2: 0 };
  #dropped: Record<OutputFd, number> = { 0: 0, 1: 0, 2: 0 };
  #paused = false;
  #outputEnded = false;
  #deadline: Timer | undefined;
  #quiet: Timer | undefined;
  /** Why a signal that ends it was ours. */
  #ours: 'deadline' | 'killed' | 'sandbox_ended' | undefined;
  readonly #awaitingDeath: (() => void)[] = [];
  #died: { code: number | null; signal: string | null; tick: number } | undefined;
  /** From when on exitDrainMaxMs is counted: its death, or the end of the last pause after it. And what has come since its death. */
  #drainTick = 0;
  #drainedBytes = 0;
  /** While it waits for its turn in a session: takes it out of the queue. */
  #leaveQueue: (() => void) | undefined;
  /** Called when the program is gone; what it has printed may still be on its way. */
  onDeath: (() => void) | undefined;

  constructor(spec: ProcessSpec, cwd: string, onEnd: (process: ManagedProcess) => void) {
    const { command, cwd: _cwd, env: _env, stdin: _stdin, stdinBase64: _bytes, stdinEnds: _ends, ...kept } = spec;
    this.#spec = kept;
    this.#command = (command.kind === 'shell' ? command.script : command.argv.join(' ')).slice(0, 1024);
    this.startedWith = { argv: shownArgv(command), env: shownEnv(spec.env) };
    this.cwd = cwd;
    this.#onEnd = onEnd;
  }

  get id(): string {
    return this.#spec.processId;
  }

  get child(): Child | undefined {
    return this.#child;
  }

  get isTerminal(): boolean {
    return this.#spec.pty !== undefined;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Its turn is not yet. Its deadline counts from now on. */
  waits(leaveQueue: () => void): void {
    this.#leaveQueue = leaveQueue;
    this.#armDeadline();
  }

  /** Its turn has come. False: it ends without having run, since its deadline has passed while the sandbox stood still. */
  takesTurn(): boolean {
    const { timeoutMs } = this.#spec;
    if (timeoutMs !== undefined && performance.now() - this.#startedTick >= timeoutMs) this.#kill('deadline');
    this.#leaveQueue = undefined;
    return this.#died === undefined;
  }

  started(child: Child): void {
    this.#child = child;
    this.#pid = child.pid;
    if (this.#deadline === undefined && this.#died === undefined) this.#armDeadline();
  }

  #armDeadline(): void {
    const { timeoutMs } = this.#spec;
    if (timeoutMs === undefined) return;
    this.#deadline = setTimeout(() => this.#kill('deadline'), Math.min(timeoutMs, 0x7fffffff));
  }

  /** For what could not be executed: the sentence and exit code that a shell would give. */
  neverRan(exitCode: number, message: string): void {
    this.output(this.isTerminal ? 0 : 2, Buffer.from(`${message}\n`));
    this.#outputEnded = true;
    this.exited(exitCode, null);
  }

  signal(name: SignalName): void {
    if (this.#died !== undefined) return;
    if (name === 'SIGKILL' || (this.#leaveQueue !== undefined && endsIt(name))) return this.#kill('killed');
    if (this.#child === undefined) return;
    if (endsIt(name)) this.#ours ??= 'killed';
    signalGroup(this.#child.pid, name);
  }

  /** Resolves once it is dead and reaped, or after `withinMs`. */
  async whenDead(withinMs: number): Promise<void> {
    if (this.#died !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, withinMs);
    this.#awaitingDeath.push(resolve);
    await promise;
    clearTimeout(timer);
  }

  /** The sandbox ends: asked first, then made to. */
  terminate(force: boolean): void {
    if (force || this.#leaveQueue !== undefined) return this.#kill('sandbox_ended');
    if (this.#child === undefined) return;
    this.#ours ??= 'sandbox_ended';
    if (this.#died === undefined) signalGroup(this.#child.pid, 'SIGTERM');
  }

  #kill(reason: 'deadline' | 'killed' | 'sandbox_ended'): void {
    if (this.#leaveQueue !== undefined) return this.#giveUp(this.#leaveQueue, reason);
    if (this.#child === undefined) return;
    if (this.#died === undefined) this.#ours = reason;
    signalSession(this.#child.pid, 'SIGKILL', this.#died === undefined);
  }

  /** It never ran, and answers as if it had been killed before it could do anything. */
  #giveUp(leaveQueue: () => void, reason: 'deadline' | 'killed' | 'sandbox_ended'): void {
    this.#leaveQueue = undefined;
    leaveQueue();
    this.#ours = reason;
    this.#outputEnded = true;
    this.exited(null, 'SIGKILL');
  }

  get unread(): boolean {
    return this.readers.size === 0;
  }

  output(fd: OutputFd, bytes: Uint8Array): boolean {
    noteActivity(bytes.length);
    if (this.exit !== null) return true;
    const room = (this.#spec.outputLimitBytes ?? Infinity) - this.#written[fd];
    const kept = bytes.length <= room ? bytes : bytes.subarray(0, Math.max(0, room));
    this.#written[fd] += kept.length;
    this.#dropped[fd] += bytes.length - kept.length;
    this.ring.append(fd, kept);
    for (const reader of this.readers) reader.pump();
    if (this.#died !== undefined) {
      this.#drainedBytes += bytes.length;
      this.#armQuiet();
    }
    this.#paused = this.#mustPause();
    return !this.#paused;
  }

  /** A reader has come, gone, or granted credit. */
  readersChanged(): void {
    if (!this.#paused || this.#mustPause()) return;
    this.#paused = false;
    if (this.#died !== undefined) {
      // What its pipes hold could not come meanwhile. What is more than that is of a descendant, which must not go on for ever so.
      if (this.#drainedBytes <= exitDrainBytesMax) this.#drainTick = performance.now();
      this.#armQuiet();
    }
    this.#child?.resume();
  }

  outputEnded(): void {
    this.#outputEnded = true;
    if (this.exit !== null) this.#letGo();
    else if (this.#died !== undefined) this.#finish();
  }

  exited(code: number | null, signal: string | null): void {
    if (this.#died !== undefined) return;
    clearTimeout(this.#deadline);
    const tick = performance.now();
    this.#died = { code: signal === null ? code : null, signal, tick };
    this.#drainTick = tick;
    this.onDeath?.();
    for (const resolve of this.#awaitingDeath.splice(0)) resolve();
    if (this.#outputEnded) this.#finish();
    else this.#armQuiet();
  }

  info(): ProcessInfo {
    const { user, tag } = this.#spec;
    return {
      processId: this.id,
      pid: this.pid,
      command: this.#command,
      cwd: this.cwd,
      user,
      pty: this.isTerminal,
      ...(tag === undefined ? {} : { tag }),
      startedAtMs: this.#startedAt,
      outputBytes: this.ring.end,
      exit: this.exit,
    };
  }

  /** An ended process is kept for a while; what Bun holds for its child need not be. */
  #letGo(): void {
    this.#child?.release();
    this.#child = undefined;
  }

  #mustPause(): boolean {
    for (const reader of this.readers) if (reader.holds) return true;
    return false;
  }

  #armQuiet(): void {
    if (this.exit !== null) return;
    clearTimeout(this.#quiet);
    const left = Math.min(limits.exitQuietMs, this.#drainTick + exitDrainMaxMs - performance.now());
    this.#quiet = setTimeout(
      () => {
        // While a reader holds back what may be the process's own, silence says nothing.
        if (!this.#paused || this.#drainedBytes > exitDrainBytesMax) this.#finish();
      },
      Math.max(0, left),
    );
  }

  #finish(): void {
    if (this.exit !== null || this.#died === undefined) return;
    clearTimeout(this.#quiet);
    const { code, signal, tick } = this.#died;
    this.exit = {
      exitCode: code,
      signal,
      reason: signal === null ? 'exited' : (this.#ours ?? 'signalled'),
      durationMs: tick - this.#startedTick,
      droppedStdoutBytes: this.#dropped[1] + this.#dropped[0],
      droppedStderrBytes: this.#dropped[2],
    };
    if (this.#outputEnded) this.#letGo();
    else this.#child?.resume();
    for (const reader of this.readers) reader.end(this.exit, this.ring.end);
    this.#onEnd(this);
  }
}

function shownArgv(command: Command): string[] {
  const argv =
    command.kind === 'argv' ? command.argv : ['bash', ...(command.login ? ['-l'] : []), '-c', command.script];
  let left: number = limits.listedArgvChars;
  const shown: string[] = [];
  for (const argument of argv) {
    if (left <= 0) break;
    shown.push(argument.slice(0, left));
    left -= argument.length + 1;
  }
  return shown;
}

/** Whole variables, as many as fit. */
function shownEnv(env: Record<string, string>): Record<string, string> {
  let left: number = limits.listedEnvChars;
  const shown: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    left -= name.length + value.length;
    if (left < 0) break;
    shown[name] = value;
  }
  return shown;
}

const endsIt = (name: SignalName): boolean =>
  name === 'SIGTERM' || name === 'SIGINT' || name === 'SIGHUP' || name === 'SIGQUIT';

function signalGroup(leader: number, signal: SignalName): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // ESRCH: it has just ended, and its exit is on the way.
  }
}
