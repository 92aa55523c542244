import { z } from 'zod';
import { endReasons } from './end-reasons.ts';
import { limits } from './limits.ts';
import { processId } from './ids.ts';

/** Linux's own bound is lower. */
const pidMax = 0xffffffff;

export const ptySize = z.object({ cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) });

export const command = z.discriminatedUnion('kind', [
  /** Run by the image's bash, or its sh where there is no bash. `login` reads the profile files. */
  z.object({ kind: z.literal('shell'), script: z.string().min(1).max(limits.commandBytes), login: z.boolean() }),
  z.object({ kind: z.literal('argv'), argv: z.array(z.string()).min(1).max(limits.argvCount) }),
]);
export type Command = z.infer<typeof command>;

/** What is to run. The edge chooses processId, so that a repeated delivery is recognised. */
export const processSpec = z.object({
  processId,
  command,
  /** Absolute, or relative to the user's home, which ~ and ~/… name too. Absent: the sandbox's default. */
  cwd: z.string().min(1).max(limits.pathBytes).optional(),
  /** Outranks the sandbox's own environment. */
  env: z.record(z.string(), z.string()),
  /** Outranked by the sandbox's own environment, and by what is derived of the user. */
  envDefaults: z.record(z.string(), z.string()).optional(),
  user: z.string().min(1).max(64),
  /** 'null' is /dev/null; 'pipe' stays open until closed or until `stdinBase64` is written and `stdinEnds`. */
  stdin: z.enum(['null', 'pipe']),
  /** Written to stdin first, before anything that comes by channel. */
  stdinBase64: z.string().optional(),
  /** Close stdin after stdinBase64. */
  stdinEnds: z.boolean(),
  pty: ptySize.optional(),
  /** Absent: no deadline but the sandbox's own. */
  timeoutMs: z.int().min(1).optional(),
  /** Per stream; what comes after is counted and dropped. Absent: unlimited (streams, background processes). */
  outputLimitBytes: z.int().min(0).optional(),
  tag: z.string().max(256).optional(),
  /** Directory and exported variables persist from one command of this name (and user) to the next, which waits for it. */
  session: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/)
    .optional(),
  /** Where the session begins, and where it goes on when its directory is gone. Absent: the sandbox's default. */
  sessionCwd: z.string().min(1).max(limits.pathBytes).optional(),
});
export type ProcessSpec = z.infer<typeof processSpec>;

/** Which process is meant: by the edge's id for it, or as the sandbox's callers name it. Of several of one tag: the youngest. */
export const processSelector = z.union([
  z.strictObject({ processId }),
  z.strictObject({ pid: z.int().min(1).max(pidMax) }),
  z.strictObject({ tag: z.string().max(256) }),
]);
export type ProcessSelector = z.infer<typeof processSelector>;

/**
 * How a reader wants a process's output. Offsets count all output bytes of the process (stdout, stderr and pty together, in
 * the order in which the agent read them); the ring replays from `fromOffset`, or from its oldest byte with a `lagged` event. `end`: only
 * what comes from now on.
 */
export const attachment = z.object({
  fromOffset: z.union([z.int().min(0), z.literal('end')]),
  /** Bytes that may be sent before the reader grants more. */
  creditBytes: z.int().min(0),
  /** A foreground reader holds the process back (until creditStallMs); any other is overrun instead. */
  foreground: z.boolean(),
  /** False: only started and exit are wanted (wait). */
  output: z.boolean(),
});
export type Attachment = z.infer<typeof attachment>;

export const exitReasons = ['exited', 'signalled', 'deadline', 'killed', 'oom', 'sandbox_ended'] as const;

export const processExit = z.object({
  /** null when a signal ended it. */
  exitCode: z.int().min(0).max(255).nullable(),
  /** 'SIGKILL' … when a signal ended it. */
  signal: z.string().max(16).nullable(),
  reason: z.enum(exitReasons),
  /** Where the sandbox has ended, and it with it: why, by the runner's word; absent where that is not known yet. */
  sandboxEndReason: z.enum(endReasons).optional(),
  durationMs: z.number().min(0),
  /** Bytes counted but dropped because of outputLimitBytes. */
  droppedStdoutBytes: z.int().min(0),
  droppedStderrBytes: z.int().min(0),
});
export type ProcessExit = z.infer<typeof processExit>;

export const processInfo = z.object({
  processId,
  pid: z.int().min(1),
  command: z.string().max(1024),
  cwd: z.string().max(limits.pathBytes),
  user: z.string().max(64),
  pty: z.boolean(),
  tag: z.string().max(256).optional(),
  startedAtMs: z.number(),
  outputBytes: z.int().min(0),
  exit: processExit.nullable(),
  /** Where it was asked for: what it was started with, cut to listedArgvChars and listedEnvChars. */
  started: z
    .object({
      argv: z.array(z.string().max(limits.listedArgvChars)).max(limits.argvCount),
      env: z.record(z.string(), z.string().max(limits.listedEnvChars)),
    })
    .optional(),
});
export type ProcessInfo = z.infer<typeof processInfo>;

export const signalNames = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGKILL',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTERM',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGWINCH',
] as const;
export const signalName = z.enum(signalNames);
export type SignalName = z.infer<typeof signalName>;
