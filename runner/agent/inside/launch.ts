import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import type { Identity } from './identity.ts';
import { assumeRealIdentity, memoryFile } from './libc.ts';
import type { Program } from './program.ts';
import type { OutputFd } from './ring.ts';
import type { StdinTarget } from './stdin.ts';

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
  /** A session's file for its state, descriptor 3 of a program that saves it. It stays the caller's to close. */
  stateFd?: number | undefined;
}

/** How much sooner than the agent the kernel should end a sandbox's processes when memory runs out. */
const oomScoreRaise = 300;
const ownOomScore = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));

/** The last step before a program runs: only for this moment is the agent open to signals of that user. */
export function spawnAs<T>({ uid, gid }: Identity, spawn: () => T): T {
  if (uid !== 0 || gid !== 0) assumeRealIdentity(uid, gid);
  return spawn();
}

export const spawnOptions = (launch: Launch, events: ChildEvents) => ({
  cwd: launch.cwd,
  env: launch.env,
  argv0: launch.program.argv[0] ?? launch.program.path,
  detached: true,
  onExit: (_: unknown, exitCode: number | null, signal: string | number | null) =>
    events.exited(exitCode, signal === null ? null : String(signal)),
});

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
