import { sandboxOutcome, type LifecycleJobName, type SandboxOutcome } from '../../../runner/protocol/jobs.ts';
import { ServiceError } from '../../core/errors.ts';
import { UnaryCall, resultOf } from './unary-call.ts';
import { runnerLost, type LifecyclePayload, type Shard } from './shard.ts';

/** For so long after the answer was lost the runner is given time to be reachable again. */
const RETURN_MS = 20_000;
const RETURN_PAUSE_MS = 500;

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
  let lostAtMs: number | undefined;
  for (;;) {
    const leftMs = Math.max(deadlineMs - Date.now(), 1);
    const call = new LifecycleCall();
    try {
      const channel = await shard.deliverLifecycle(name, runnerId, payload, leftMs, call);
      return readOutcome(await resultOf(shard, call, channel, leftMs));
    } catch (error) {
      if (call.gone) lostAtMs ??= Date.now();
      if (lostAtMs === undefined) throw error;
      const unreachable = error instanceof ServiceError && error.code === 'not_started';
      if (!call.gone && !unreachable) throw error;
      // It was delivered once and may have been done: not_started would say too much.
      if (Date.now() >= Math.min(deadlineMs, lostAtMs + RETURN_MS)) throw runnerLost(error);
    }
    await new Promise((resolve) => setTimeout(resolve, RETURN_PAUSE_MS));
  }
};

const readOutcome = (value: unknown): SandboxOutcome => {
  const parsed = sandboxOutcome.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ServiceError('internal', 'The runner failed to do this. The request id identifies it in the logs.', {
    cause: parsed.error,
  });
};
