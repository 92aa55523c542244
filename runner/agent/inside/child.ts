import { closeSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { AgentFault, errnoOf } from './fault.ts';
import type { Identity } from './identity.ts';
import { nextTurn } from './files/slices.ts';
import { memoryFile, pipe } from './libc.ts';
import type { Program } from './program.ts';
import type { OutputFd } from './ring.ts';
import type { StdinTarget } from './stdin.ts';
import { StdinPipe } from './stdin.ts';
import { startTerminal } from './terminal.ts';

/** A program that runs, as the process above it sees it. */
export interface Child {
  readonly pid: number;
  readonly stdin: StdinTarget | undefined;
  /** After output() has answered false: reads on. */
  resume(): void;
  resize(cols: number, rows: number): void;
  /** Lets go of the descriptors of a child that has exited. */
  release(): void;
}

export interface ChildEvents {
  /** Returns whether the source may go on reading at once. */
  output(fd: OutputFd, bytes: Uint8Array): boolean;
  /** Nobody reads the output at the moment, so that it is in no hurry. */
  readonly unread: boolean;
  /** Every writer of the child's output has closed it. */
  outputEnded(): void;
  exited(exitCode: number | null, signal: string | null): void;
}

export interface Launch {
  program: Program;
  identity: Identity;
  cwd: string;
  env: Record<string, string>;
  stdin: 'null' | 'pipe';
  pty: { cols: number; rows: number } | undefined;
}

/** How much sooner than the agent the kernel should end a sandbox's processes when memory runs out. */
const oomScoreRaise = 300;
/** After this much in a row other work gets its turn; output that nobody reads goes at 256 MiB/s at most. */
const burstBytes = 256 * 1024;
const unreadPaceMs = 1;
const ownOomScore = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));

/** Starts it as the leader of a session of its own. Call it with the identity of `launch`. Throws the system's error. */
export function startChild(launch: Launch, events: ChildEvents): Child {
  try {
    return launch.pty === undefined ? startPiped(launch, events) : startTerminal(launch, launch.pty, events);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') {
      throw new AgentFault('too_many_processes', 'The sandbox has reached its limit of processes; end some first.');
    }
    throw error;
  }
}

export const spawnOptions = (launch: Launch, events: ChildEvents) => ({
  cwd: launch.cwd,
  env: launch.env,
  argv0: launch.program.argv[0] ?? launch.program.path,
  detached: true,
  onExit: (_: unknown, exitCode: number | null, signal: string | number | null) =>
    events.exited(exitCode, signal === null ? null : String(signal)),
});

function startPiped(launch: Launch, events: ChildEvents): Child {
  const opened: number[] = [];
  const open = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  try {
    const [out, err] = [pipe(), pipe()];
    open(out.write);
    open(err.write);
    const input = launch.stdin === 'pipe' ? pipe() : undefined;
    if (input !== undefined) open(input.read);
    const script = launch.program.script === undefined ? undefined : open(scriptFile(launch.program.script));
    let child;
    try {
      child = Bun.spawn([launch.program.path, ...launch.program.argv.slice(1)], {
        ...spawnOptions(launch, events),
        stdio: [input?.read ?? 'ignore', out.write, err.write, ...(script === undefined ? [] : [script])],
      });
    } catch (error) {
      for (const fd of [out.read, err.read, input?.write]) if (fd !== undefined) closeSync(fd);
      throw error;
    }
    preferForOom(child.pid);
    return new PipedChild(child.pid, out.read, err.read, input?.write, events);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

export function scriptFile(script: string): number {
  const fd = memoryFile('script');
  const bytes = Buffer.from(script);
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at);
  return fd;
}

export function preferForOom(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(Math.min(1000, ownOomScore + oomScoreRaise)));
  } catch {
    // It has exited already, or /proc is not writable: then the kernel decides by size alone.
  }
}

class PipedChild implements Child {
  readonly pid: number;
  readonly stdin: StdinPipe | undefined;
  #open = 2;
  #resume: (() => void)[] = [];
  #readers: { cancel(): Promise<void> }[] = [];
  readonly #events: ChildEvents;

  constructor(pid: number, stdout: number, stderr: number, stdin: number | undefined, events: ChildEvents) {
    this.pid = pid;
    this.#events = events;
    this.stdin = stdin === undefined ? undefined : new StdinPipe(stdin);
    void this.#read(1, stdout);
    void this.#read(2, stderr);
  }

  resume(): void {
    const waiting = this.#resume;
    this.#resume = [];
    for (const go of waiting) go();
  }

  resize(): void {
    throw new AgentFault('not_a_pty', 'The process has no terminal to resize.');
  }

  release(): void {
    this.stdin?.close();
    for (const reader of this.#readers) void reader.cancel().catch(() => undefined);
    this.resume();
  }

  async #read(fd: OutputFd, source: number): Promise<void> {
    const reader = Bun.file(source).stream().getReader();
    this.#readers.push(reader);
    let burst = 0;
    let next = reader.read();
    // The stream has a duplicate of its own since the first read.
    closeSync(source);
    try {
      for (;;) {
        const { done, value } = await next;
        if (done) break;
        if (!this.#events.output(fd, value)) await new Promise<void>((resolve) => this.#resume.push(resolve));
        burst += value.length;
        if (burst >= burstBytes) {
          burst = 0;
          await (this.#events.unread ? Bun.sleep(unreadPaceMs) : nextTurn());
        }
        next = reader.read();
      }
    } catch (error) {
      console.error('output', error);
    }
    this.#open -= 1;
    if (this.#open === 0) this.#events.outputEnded();
  }
}
