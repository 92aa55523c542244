import { closeSync } from 'node:fs';
import { AgentFault, errnoOf } from './fault.ts';
import { nextTurn } from './files/slices.ts';
import type { Child, ChildEvents, Launch } from './launch.ts';
import { preferForOom, scriptFile, spawnAs, spawnOptions } from './launch.ts';
import { pipe } from './libc.ts';
import type { OutputFd } from './ring.ts';
import { StdinPipe } from './stdin.ts';
import { startTerminal } from './terminal.ts';

/** After this much in a row other work gets its turn; output that nobody reads goes at 256 MiB/s at most. */
const burstBytes = 256 * 1024;
const unreadPaceMs = 1;
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

function startPiped(launch: Launch, events: ChildEvents): Child {
  const kept: number[] = [];
  const theirs: number[] = [];
  const ours = (end: 'read' | 'write'): ReturnType<typeof pipe> => {
    const made = pipe();
    kept.push(made[end]);
    theirs.push(end === 'read' ? made.write : made.read);
    return made;
  };
  try {
    const out = ours('read');
    const err = ours('read');
    const input = launch.stdin === 'pipe' ? ours('write') : undefined;
    const script = launch.program.script === undefined ? [] : [scriptFile(launch.program.script)];
    theirs.push(...script);
    const state = launch.stateFd === undefined ? [] : [launch.stateFd];
    const child = spawnAs(launch.identity, () =>
      Bun.spawn([launch.program.path, ...launch.program.argv.slice(1)], {
        ...spawnOptions(launch, events),
        stdio: [input?.read ?? 'ignore', out.write, err.write, ...state, ...script],
      }),
    );
    preferForOom(child.pid);
    return new PipedChild(child.pid, out.read, err.read, input?.write, events);
  } catch (error) {
    for (const fd of kept) closeSync(fd);
    throw error;
  } finally {
    for (const fd of theirs) closeSync(fd);
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
