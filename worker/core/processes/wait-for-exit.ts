import type { ProcessExit } from '../../../runner/protocol/process.ts';
import { errorFromRunner, ServiceError } from '../errors.ts';
import type { Context, SandboxRef, StreamEvent } from '../ports.ts';
import { exitReader } from './attachment.ts';

/** How the process ended, or null when it still runs after `timeoutMs`. */
export const waitForExit = async (
  ctx: Context,
  ref: SandboxRef,
  processId: string,
  timeoutMs: number,
): Promise<ProcessExit | null> => {
  const reader = (await ctx.broker.attach(ref, processId, exitReader)).getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeoutMs);
  });
  try {
    return await Promise.race([exitOf(reader), late]);
  } finally {
    clearTimeout(timer);
    // Detaches. A read that is still pending ends with it.
    ctx.after(reader.cancel());
  }
};

const exitOf = async (reader: ReadableStreamDefaultReader<StreamEvent>): Promise<ProcessExit> => {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new ServiceError('stream_lost', 'The connection to the process was lost. Waiting again is safe.');
    if (value.t === 'exit') return value.exit;
    if (value.t === 'error') throw errorFromRunner(value.fault);
  }
};
