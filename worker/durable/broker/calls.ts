import type { ControlCommand, InHeader } from '../../../runner/protocol/channel.ts';
import type { ExecJobName } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { ProcessSelector } from '../../../runner/protocol/process.ts';
import { ServiceError } from '../../core/errors.ts';
import type { SandboxRef } from '../../core/ports.ts';
import { DeliveryError } from './ports.ts';
import type { LiveRoute } from './routes.ts';
import { notStarted, runnerLost, type ExecPayload, type Shard } from './shard.ts';
import { resultOf, UnaryCall } from './unary-call.ts';

/** Jobs that are answered by one result, and how long that may take: longer than the runner itself gives them. */
export const callTimeoutMs = {
  'process.list': 20_000,
  'sandbox.ping': 8_000,
  'sandbox.environment': 20_000,
  'sandbox.metrics': 20_000,
  'sandbox.history': 3_000,
  'sandbox.usage': 10_000,
  /** The upload's own guards end one that stands still; the URLs are good for no longer. */
  'snapshot.upload': 30 * 60_000,
  'snapshot.drop': 10_000,
  'file.call': 130_000,
  /** A transfer is as long as the client's upload; its own stall guards end it sooner. */
  'file.write': 6 * 3600_000,
} as const satisfies Partial<Record<ExecJobName, number>>;
export type CallName = keyof typeof callTimeoutMs;
/** Of a control: longer than it may take to be got to, and then to be answered. */
const CONTROL_MS = limits.startWithinMs + limits.stdinAnswerMs + 500;

export type Envelope = 'sandboxId' | 'tenantId' | 'requestId' | 'epoch';

export const envelopeOf = ({ sandboxId, tenantId, requestId }: SandboxRef, { epoch }: Pick<LiveRoute, 'epoch'>) => ({
  sandboxId,
  tenantId,
  requestId,
  epoch,
});

/** Delivers and waits for the one result, which is the runner's word: the caller checks its form. */
export const callRunner = async <N extends CallName>(
  shard: Shard,
  ref: SandboxRef,
  route: Pick<LiveRoute, 'runnerId' | 'epoch'>,
  name: N,
  payload: Omit<ExecPayload<N>, Envelope>,
): Promise<unknown> => {
  const call = new UnaryCall();
  const data = { ...payload, ...envelopeOf(ref, route) } as ExecPayload<N>;
  const channel = await shard.deliver(name, route.runnerId, data, call);
  return resultOf(shard, call, channel, callTimeoutMs[name]);
};

/** One thing to a running process, in the order in which it is called. Resolves when the agent has it. */
export const controlProcess = async (
  shard: Shard,
  ref: SandboxRef,
  route: LiveRoute,
  process: ProcessSelector,
  command: ControlCommand,
  bytes: Uint8Array | undefined,
): Promise<void> => {
  const call = new UnaryCall();
  const { channel, boot, replyStream, startByMs } = await shard.openControl(route.runnerId, call);
  const header: InHeader = {
    c: channel.id,
    t: 'control',
    out: replyStream,
    requestId: ref.requestId,
    startByMs,
    target: { sandboxId: ref.sandboxId, epoch: route.epoch, process },
    command,
  };
  let inDoubt = false;
  const write = () => shard.transport.send(route.runnerId, boot, header, bytes);
  try {
    // A runner ignores a repeated channel, so what may have been lost is sent again.
    const heard = await write().catch((error: unknown) => {
      if (!(error instanceof DeliveryError) || error.kind !== 'unknown') throw error;
      inDoubt = true;
      return write();
    });
    if (!heard) throw new Error('that life of the runner is over');
  } catch (error) {
    shard.close(channel);
    throw inDoubt ? runnerLost(error) : notStarted(error);
  }
  // That life of the runner has it before it: from here on it may have been done, whatever is heard of it.
  channel.accepted = true;
  await resultOf(shard, call, channel, CONTROL_MS).catch((error: unknown) => {
    throw isOwnTimeout(error) ? runnerLost(error) : error;
  });
};

/** The runner's word of a deadline says what was not done; that nothing was heard in time says nothing. */
const isOwnTimeout = (error: unknown): boolean =>
  error instanceof ServiceError && error.code === 'deadline_exceeded' && error.runnerCode === undefined;
