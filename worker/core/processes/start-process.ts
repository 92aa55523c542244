import { errorFromRunner, ServiceError } from '../errors.ts';
import type { Context, SandboxRef } from '../ports.ts';
import { type ProcessInput, processSpecOf } from './process-spec.ts';

/** Starts a process in the background and answers once it has a pid. */
export const startProcess = async (
  ctx: Context,
  ref: SandboxRef,
  input: ProcessInput,
): Promise<{ processId: string; pid: number }> => {
  const events = await ctx.broker.start(ref, processSpecOf(input), null);
  try {
    for (let event = await events.next(); event; event = await events.next()) {
      if (event.t === 'started') return { processId: event.processId, pid: event.pid };
      if (event.t === 'error') throw errorFromRunner(event.fault);
    }
  } finally {
    await events.cancel();
  }
  throw new ServiceError(
    'internal',
    'The process was accepted, but its start was not confirmed. List the processes to see it.',
  );
};
