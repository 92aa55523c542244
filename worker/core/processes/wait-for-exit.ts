import type { ProcessExit, ProcessSelector } from '../../../runner/protocol/process.ts';
import { errorFromRunner, ServiceError } from '../errors.ts';
import type { Context, SandboxRef, StreamEvent } from '../ports.ts';
import { exitReader } from './attachment.ts';

/** How the process ended, or null when it still runs after `timeoutMs`. */
export const waitForExit = async (
  ctx: Context,
  ref: SandboxRef,
  process: ProcessSelector,
  timeoutMs: number,
): Promise<{ processId: string; exit: ProcessExit | null }> => {
  const reader = (await ctx.broker.attach(ref, process, exitReader)).getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeoutMs);
  });
  try {
    const { processId } = await eventOf(reader, 'started');
    const ended = await Promise.race([eventOf(reader, 'exit'), late]);
    return { processId, exit: ended?.exit ?? null };
  } finally {
    clearTimeout(timer);
    // Detaches. A read that is still pending ends with it.
    ctx.after(reader.cancel());
  }
};

const eventOf = async <T extends StreamEvent['t']>(
  reader: ReadableStreamDefaultReader<StreamEvent>,
  kind: T,
): Promise<Extract<StreamEvent, { t: T }>> => {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new ServiceError('stream_lost', 'The connection to the process was lost. Waiting again is safe.');
    if (isKind(value, kind)) return value;
    if (value.t === 'error') throw errorFromRunner(value.fault);
  }
};

const isKind = <T extends StreamEvent['t']>(event: StreamEvent, kind: T): event is Extract<StreamEvent, { t: T }> =>
  event.t === kind;
