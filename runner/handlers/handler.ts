import type { Conversation, Conversations } from '../channels/conversations.ts';
import type { ContainerEngine } from '../engine/port.ts';
import type { Journal } from '../journal.ts';
import type { Logger } from '../log.ts';
import { RunnerError, type RunnerFault } from '../protocol/errors.ts';
import type { ExecJobName, JobData, LifecycleJobName, NodeJobName, SandboxOutcome } from '../protocol/jobs.ts';
import type { PortConnections } from '../ports/connections.ts';
import type { PortSockets } from '../ports/sockets.ts';
import type { Capacity } from '../sandboxes/capacity.ts';
import type { Checkpointing } from '../sandboxes/checkpointing.ts';
import type { Containers } from '../sandboxes/containers.ts';
import type { History } from '../sandboxes/history.ts';
import type { LiveSandbox, Sandbox } from '../sandboxes/sandbox.ts';
import type { Snapshots } from '../snapshots/snapshots.ts';
import type { SandboxTable } from '../sandboxes/table.ts';
import type { UsageSampler } from '../sandboxes/usage-sampler.ts';
import type { Transfers } from '../transfers.ts';

/** What handlers work with. */
export interface HandlerContext {
  sandboxes: SandboxTable;
  containers: Containers;
  capacity: Capacity;
  checkpointing: Checkpointing;
  engine: ContainerEngine;
  journal: Journal;
  conversations: Conversations;
  history: History;
  usage: UsageSampler;
  /** Something has changed that nobody asked for: the record need not wait for the next beat. */
  reportSoon(): void;
  /** Reports what ran in the sandbox now, not with the next beat. */
  reportHistory(sandboxId: string): Promise<void>;
  transfers: Transfers;
  /** The same for bodies of requests to ports. */
  portTransfers: Transfers;
  portConnections: PortConnections;
  portSockets: PortSockets;
  snapshots: Snapshots;
  /** Redis TIME. */
  redisNowMs(): number;
  log: Logger;
}

/**
 * Fenced and `accepted` already. It may take its time: nothing waits for it. It says its last word itself or throws; a
 * RunnerError is passed on, anything else is `internal`.
 */
export type ExecHandler<N extends Exclude<ExecJobName, NodeJobName>> = (
  context: HandlerContext,
  job: JobData<N>,
  sandbox: LiveSandbox,
  conversation: Conversation,
) => Promise<void>;

/** The same, for a job that is the node's own matter. */
export type NodeHandler<N extends NodeJobName> = (
  context: HandlerContext,
  job: JobData<N>,
  conversation: Conversation,
) => Promise<void>;

/** A lifecycle job without the place of its answer: the control plane's heartbeat asks for kills, too. */
export type LifecycleWork<N extends LifecycleJobName> = Omit<JobData<N>, 'reply'>;

/** Fenced already, alone in its sandbox's lane. Aborted by a kill and by the job's time limit. */
export type LifecycleHandler<N extends LifecycleJobName> = (
  context: HandlerContext,
  job: LifecycleWork<N>,
  signal: AbortSignal,
) => Promise<SandboxOutcome>;

/** What could not be done because the sandbox went away meanwhile is told as that. */
export const endedOr = (sandbox: Sandbox, error: unknown): unknown => {
  const ended = sandbox.state === 'ending' || sandbox.state === 'ended';
  if (!ended || !(error instanceof RunnerError) || !cutBy.includes(error.code)) return error;
  return new RunnerError('sandbox_ended', 'The sandbox has ended.');
};
const cutBy: readonly RunnerFault['code'][] = ['agent_unavailable', 'transfer_failed', 'port_failed'];

/** What the edge is told of a failure: a RunnerError says what it is; anything else is ours, logged and kept to ourselves. */
export function faultOf(error: unknown, log: Logger, fields: { requestId: string; job: string }): RunnerFault {
  if (error instanceof RunnerError) {
    if (error.cause !== undefined) log.warn('job_failed', { ...fields, code: error.code, error });
    const path = error.path === undefined ? {} : { path: error.path };
    return { code: error.code, message: error.message.slice(0, 2000), ...path };
  }
  log.error('job_crashed', { ...fields, error: error instanceof Error ? error : new Error(String(error)) });
  return { code: 'internal', message: 'The node failed to do this. The failure has been logged.' };
}
