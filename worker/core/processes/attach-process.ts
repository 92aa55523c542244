import type { Attachment, ProcessSelector } from '../../../runner/protocol/process.ts';
import type { Context, EventStream, SandboxRef } from '../ports.ts';
import { foregroundReader } from './attachment.ts';
import { openedEvents } from '../opened-events.ts';

/** A process's output from `fromOffset` on (`end`: what comes from now on) and its exit. Cancelling the stream leaves the process alone. */
export const attachProcess = async (
  ctx: Context,
  ref: SandboxRef,
  process: ProcessSelector,
  fromOffset: Attachment['fromOffset'],
): Promise<EventStream> => openedEvents(await ctx.broker.attach(ref, process, foregroundReader(fromOffset)));
