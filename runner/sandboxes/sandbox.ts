import type { AgentSession } from '../agent/session.ts';
import { monotonicMs } from '../clock.ts';
import type { EgressRules } from '../protocol/egress.ts';
import type { EndReason } from '../protocol/node-report.ts';
import type { Deadline } from './deadline.ts';
import type { RunningProcess } from './running-process.ts';

/** An oom kill explains a SIGKILL within this. */
const OOM_WINDOW_MS = 2_000;

/**
 * How a paused sandbox rests: its processes frozen where they were; or written to disk beside its files, in a stopped container; or ended,
 * only its files kept there.
 */
export const rests = ['frozen', 'checkpointed', 'stopped'] as const;
export type Rest = (typeof rests)[number];

/** Its container does not run, as it should be. */
export const isAtRest = (rest: Rest | null | undefined): boolean => rest === 'stopped' || rest === 'checkpointed';

/** Where a sandbox lives. */
export interface Home {
  containerId: string;
  slot: string;
  session: AgentSession;
}

/** One sandbox in the runner's memory; the journal has its durable part. Changed by the SandboxTable only. */
export interface Sandbox {
  readonly id: string;
  readonly tenantId: string;
  readonly epoch: number;
  revision: number;
  /** 'pausing', 'ending': still there, on its way; nothing new runs. */
  state: 'creating' | 'running' | 'pausing' | 'paused' | 'ending' | 'ended';
  /** While pausing or paused. */
  rest: Rest | undefined;
  /** A lifecycle job is under way. */
  changing: boolean;
  cpus: number;
  memoryMiB: number;
  egress: EgressRules;
  home: Home | undefined;
  deadline: Deadline;
  readonly onTimeout: 'kill' | 'pause';
  /** Of a pause at the deadline. */
  readonly keepMemory: boolean;
  endReason: EndReason | undefined;
  endedAtMs: number | undefined;
  /** The control plane has the end on record. */
  recorded: boolean;
  readonly processes: Map<string, RunningProcess>;
  /** Those that have ended, while some reader of theirs is still to be told. */
  readonly endedUntold: Set<RunningProcess>;
  /** Open foreground readers and file transfers: while there are any, an idle-mode sandbox is active. */
  openCalls: number;
  watches: number;
  /** When the host last saw an oom kill in it, and how many it had counted by then. */
  oomAtMs: number;
  oomKills: number;
  /** Since when the agent has had no connection. */
  silentSinceMs: number | undefined;
}

type UnderWay =
  | 'changing'
  | 'processes'
  | 'endedUntold'
  | 'openCalls'
  | 'watches'
  | 'oomAtMs'
  | 'oomKills'
  | 'silentSinceMs';

/** What a sandbox begins with in every life of the runner. */
export const nothingUnderWay = (): Pick<Sandbox, UnderWay> => ({
  changing: false,
  processes: new Map(),
  endedUntold: new Set(),
  openCalls: 0,
  watches: 0,
  oomAtMs: -Infinity,
  oomKills: 0,
  silentSinceMs: undefined,
});

/** A sandbox in which things can run. */
export interface LiveSandbox extends Sandbox {
  state: 'running';
  home: Home;
}

export function isLive(sandbox: Sandbox): sandbox is LiveSandbox {
  return sandbox.state === 'running' && sandbox.home !== undefined;
}

/** What a paused one's rest means for its memory. */
export const memoryOf = ({ state, rest }: Sandbox): { memoryKept: boolean; memoryFreed: boolean } | undefined =>
  state === 'paused' ? { memoryKept: rest !== 'stopped', memoryFreed: rest !== 'frozen' } : undefined;

export const sawOom = (sandbox: Sandbox): boolean => monotonicMs() - sandbox.oomAtMs < OOM_WINDOW_MS;
