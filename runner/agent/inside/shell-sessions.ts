import { closeSync, fchmodSync, fstatSync, readSync } from 'node:fs';
import { AgentFault } from './fault.ts';
import { memoryFile } from './libc.ts';
import type { ManagedProcess } from './process.ts';
import type { ShellState } from './shell-state.ts';
import { parseShellState, shellStateBytesMax, shellStateMode } from './shell-state.ts';

/** Of one sandbox. With more, the one that was idle for longest is forgotten. */
const sessionsMax = 64;
/** Commands that wait in one session. */
const waitingMax = 32;
/** What those of all sessions together may hold of the sandbox's memory. */
const waitingBytesMax = 16 * 1024 * 1024;

interface Waiting {
  process: ManagedProcess;
  bytes: number;
  begin: () => void;
}

/** Commands of one session run one after another, in the order in which they came; each begins with what the last one left. */
export class ShellSession {
  state: ShellState | undefined;
  #running: ManagedProcess | undefined;
  #waiting: Waiting[] = [];

  get free(): boolean {
    return this.#running === undefined;
  }

  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get full(): boolean {
    return this.#waiting.length >= waitingMax;
  }

  occupy(process: ManagedProcess): void {
    this.#running = process;
  }

  release(process: ManagedProcess): void {
    if (this.#running !== process) return;
    this.#running = undefined;
    while (this.#running === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next.process.takesTurn()) next.begin();
    }
  }

  enqueue(waiting: Waiting): void {
    this.#waiting.push(waiting);
    waiting.process.waits(() => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
    });
  }
}

export class ShellSessions {
  /** The least recently used comes first. */
  readonly #sessions = new Map<string, ShellSession>();

  /** One that is not known yet begins with nothing. */
  get(key: string): ShellSession {
    const session = this.#sessions.get(key) ?? this.#make();
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    return session;
  }

  /** Throws too_many_processes unless a command that holds `bytes` may wait in `session`. */
  checkRoom(session: ShellSession, bytes: number): void {
    if (session.full) throw tooMany(`${waitingMax} commands wait in this session already`);
    let held = bytes;
    for (const { waitingBytes } of this.#sessions.values()) held += waitingBytes;
    if (held > waitingBytesMax) throw tooMany('The commands that wait in sessions of this sandbox hold 16 MiB already');
  }

  #make(): ShellSession {
    if (this.#sessions.size >= sessionsMax) {
      const idle = [...this.#sessions].find(([, session]) => session.free);
      if (idle === undefined) throw tooMany(`${sessionsMax} sessions of the sandbox run a command already`);
      this.#sessions.delete(idle[0]);
    }
    return new ShellSession();
  }
}

const tooMany = (what: string): AgentFault => new AgentFault('too_many_processes', `${what}; let some end first.`);

/** Where one command's shell writes what the session goes on with. */
export class StateFile {
  readonly fd: number;

  constructor() {
    this.fd = memoryFile('session');
    fchmodSync(this.fd, shellStateMode);
  }

  /** undefined: nothing was saved, or too much. The file is gone afterwards. */
  take(
    launched: Record<string, string>,
    own: Record<string, string>,
    before: Record<string, string>,
  ): ShellState | undefined {
    try {
      const { size } = fstatSync(this.fd);
      if (size > shellStateBytesMax) return undefined;
      const written = Buffer.alloc(size);
      const read = readSync(this.fd, written, 0, size, 0);
      return parseShellState(written.subarray(0, read), launched, own, before);
    } catch (error) {
      // The command's end is told all the same.
      console.error('session', error);
      return undefined;
    } finally {
      closeSync(this.fd);
    }
  }
}
