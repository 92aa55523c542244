import type { Context, EventStream, SandboxRef } from '../ports.ts';
import { foregroundReader } from './attachment.ts';
import { openedEvents } from '../opened-events.ts';

/** A process's output from `fromOffset` on and its exit. Cancelling the stream leaves the process alone. */
export const attachProcess = async (
  ctx: Context,
  ref: SandboxRef,
  processId: string,
  fromOffset: number,
): Promise<EventStream> => openedEvents(await ctx.broker.attach(ref, processId, foregroundReader(fromOffset)));
