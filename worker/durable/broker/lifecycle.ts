import { sandboxOutcome, type LifecycleJobName, type SandboxOutcome } from '../../../runner/protocol/jobs.ts';
import { ServiceError } from '../../core/errors.ts';
import { UnaryCall, resultOf } from './unary-call.ts';
import type { LifecyclePayload, Shard } from './shard.ts';

/** How often one call may lose the delivering side's memory and ask again. */
const DELIVERIES = 3;

/** Asks again when the answer was lost on the way: a runner repeats the outcome of an (epoch, revision) that it knows. */
class LifecycleCall extends UnaryCall {
  gone = false;

  override lost(): void {
    this.gone = true;
    super.lost();
  }
}

/** Delivers a lifecycle job and waits until the runner has done it. */
export const runLifecycle = async <N extends LifecycleJobName>(
  shard: Shard,
  name: N,
  runnerId: string,
  payload: LifecyclePayload<N>,
  timeoutMs: number,
): Promise<SandboxOutcome> => {
  const deadlineMs = Date.now() + timeoutMs;
  for (let delivery = 1; ; delivery += 1) {
    const leftMs = Math.max(deadlineMs - Date.now(), 1);
    const call = new LifecycleCall();
    try {
      const channel = await shard.deliverLifecycle(name, runnerId, payload, leftMs, call);
      return readOutcome(await resultOf(shard, call, channel, leftMs));
    } catch (error) {
      if (!call.gone || delivery === DELIVERIES) throw error;
    }
  }
};

const readOutcome = (value: unknown): SandboxOutcome => {
  const parsed = sandboxOutcome.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ServiceError('internal', 'The runner failed to do this. The request id identifies it in the logs.', {
    cause: parsed.error,
  });
};
