import type { Context, EventStream, ExecResult, SandboxRef } from '../ports.ts';
import { foregroundReader } from '../processes/attachment.ts';
import { openedEvents } from '../opened-events.ts';
import { type CommandInput, processSpecOf } from '../processes/process-spec.ts';

/** Runs a command to its end and collects its output. A non-zero exit is a result, not an error. */
export const runCommand = (ctx: Context, ref: SandboxRef, input: CommandInput): Promise<ExecResult> =>
  ctx.broker.exec(ref, processSpecOf({ ...input, stdinOpen: false }));

/** The same, its output as it comes. A reader that goes away does not end the command. */
export const streamCommand = async (ctx: Context, ref: SandboxRef, input: CommandInput): Promise<EventStream> =>
  openedEvents(await ctx.broker.start(ref, processSpecOf({ ...input, stdinOpen: false }), foregroundReader(0)));
