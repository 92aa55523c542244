import { z } from 'zod';
import { RunnerError, runnerFault, type RunnerFault } from '../protocol/errors.ts';
import { watchEvent } from '../protocol/files.ts';
import { frameBounds } from '../protocol/agent.ts';
import { limits } from '../protocol/limits.ts';
import { processExit, processInfo } from '../protocol/process.ts';

/** Why a sandbox ends is not for it to say. */
const agentExit = processExit.omit({ sandboxEndReason: true });

/** Shapes of what an agent may say. It runs in the sandbox, where hostile code may take its place. */
export const helloShape = z.discriminatedUnion('role', [
  z.object({
    role: z.literal('control'),
    protocol: z.int(),
    boot: z.string().regex(/^[0-9a-f]{32}$/),
    pid: z.int().min(1),
  }),
  z.object({ role: z.literal('data'), token: z.string().regex(/^[0-9a-f]{32}$/) }),
]);

const id = z.int().min(0).max(0xffffffff);

export const replyShape = z.union([z.object({ id, fault: runnerFault }), z.object({ id, value: z.unknown() })]);

export const eventShape = z.discriminatedUnion('event', [
  z.object({ event: z.literal('lagged'), reader: id, droppedBytes: z.int().min(1), detached: z.boolean() }),
  z.object({ event: z.literal('exit'), reader: id, exit: agentExit, outputBytes: z.int().min(0) }),
  z.object({
    event: z.literal('watch'),
    watchId: id,
    events: z.array(watchEvent).max(frameBounds.eventPaths),
    droppedEvents: z.int().min(0),
  }),
]);

export const startedShape = z.object({ pid: z.int().min(1) });
export const attachedShape = z.object({ offset: z.int().min(0) });
export const nothingShape = z.null();
/** Live ones and the ended that are still kept. */
export const processListShape = z.array(processInfo).max(limits.processesPerSandbox + 1024);

export const faultError = ({ code, message, path }: RunnerFault): RunnerError =>
  new RunnerError(code, message, { path });

/** What an agent may not do. Its connection is dropped; a session bears only a few. */
export class AgentViolation extends Error {}
