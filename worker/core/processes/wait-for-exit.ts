import type { ProcessExit, ProcessSelector } from '../../../runner/protocol/process.ts';
import { errorFromRunner, ServiceError } from '../errors.ts';
import type { Context, EventStream, SandboxRef, StreamEvent } from '../ports.ts';
import { exitReader } from './attachment.ts';

/** How the process ended, or null when it still runs after `timeoutMs`. */
export const waitForExit = async (
  ctx: Context,
  ref: SandboxRef,
  process: ProcessSelector,
  timeoutMs: number,
): Promise<{ processId: string; exit: ProcessExit | null }> => {
  const events = await ctx.broker.attach(ref, process, exitReader);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeoutMs);
  });
  try {
    const { processId } = await eventOf(events, 'started');
    const ended = await Promise.race([eventOf(events, 'exit'), late]);
    return { processId, exit: ended?.exit ?? null };
  } finally {
    clearTimeout(timer);
    // Detaches. What is still waited for ends with it.
    ctx.after(events.cancel());
  }
};

const eventOf = async <T extends StreamEvent['t']>(
  events: EventStream,
  kind: T,
): Promise<Extract<StreamEvent, { t: T }>> => {
  for (;;) {
    const event = await events.next();
    if (!event) throw new ServiceError('stream_lost', 'The connection to the process was lost. Waiting again is safe.');
    if (isKind(event, kind)) return event;
    if (event.t === 'error') throw errorFromRunner(event.fault);
  }
};

const isKind = <T extends StreamEvent['t']>(event: StreamEvent, kind: T): event is Extract<StreamEvent, { t: T }> =>
  event.t === kind;
