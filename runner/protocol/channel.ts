import { z } from 'zod';
import { channelId, requestId, sandboxId } from './ids.ts';
import { processExit, processSelector, processSpec, ptySize, signalName } from './process.ts';
import { runnerFault } from './errors.ts';
import { watchEvent } from './files.ts';
import { replyTo } from './jobs.ts';

/**
 * What flows after a job was delivered. An event is a field `h` of an entry of a Redis stream, a JSON header (one of the two unions
 * below), and after it, where it has raw bytes, a field `d`. An entry of an `out-` stream has one event or more. Each channel's headers carry `q`, counting from 0: a reader applies in
 * order, ignores repeats, and ends the channel with `stream_lost` on a gap.
 */
export const streamFields = { header: 'h', bytes: 'd' } as const;
const sequenced = { c: channelId, q: z.int().min(0) };

/** Runner → edge, on the shard's `out-` stream. */
export const outHeader = z.discriminatedUnion('t', [
  /** The handler has fenced the job and begun. From here on the loss of the runner means «may have run». */
  z.object({ ...sequenced, t: z.literal('accepted') }),
  /** `o`: offset of the first byte that this reader is given; said to one that asked for it from the end on. */
  z.object({
    ...sequenced,
    t: z.literal('started'),
    processId: processSpec.shape.processId,
    pid: z.int().min(1),
    o: z.int().min(0).optional(),
  }),
  /** `d` holds output of fd 1, 2, or 0 for a PTY or file bytes. `o`: offset of its first byte (process.ts, attachment). */
  z.object({
    ...sequenced,
    t: z.literal('data'),
    fd: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    o: z.int().min(0),
  }),
  /**
   * Output that this reader missed because the ring overran or it granted no credit in time; `detached`: nothing more comes. `resumable`, where
   * the runner itself lets go (it stops, or has too much to say): nothing was missed, and who attaches again goes on from there.
   */
  z.object({
    ...sequenced,
    t: z.literal('lagged'),
    droppedBytes: z.int().min(0),
    detached: z.boolean(),
    resumable: z.boolean().optional(),
  }),
  z.object({ ...sequenced, t: z.literal('exit'), o: z.int().min(0), exit: processExit }),
  z.object({ ...sequenced, t: z.literal('watch'), events: z.array(watchEvent), droppedEvents: z.int().min(0) }),
  z.object({ ...sequenced, t: z.literal('result'), value: z.unknown() }),
  /** File bytes are complete. */
  z.object({ ...sequenced, t: z.literal('end') }),
  z.object({ ...sequenced, t: z.literal('error'), fault: runnerFault }),
]);
export type OutHeader = z.infer<typeof outHeader>;
/** After one of these nothing more comes on the channel. (`result` ends it too, unless bytes follow: file.read.) */
export const finalKinds: readonly OutHeader['t'][] = ['exit', 'end', 'error'];

/** The body of an event before the publisher has numbered it. */
export type OutEvent = OutHeader extends infer H ? (H extends OutHeader ? Omit<H, 'c' | 'q'> : never) : never;

/** The last word on a channel that the runner does not serve any longer. */
export const letGo: OutEvent = { t: 'lagged', droppedBytes: 0, detached: true, resumable: true };

/** By pid or tag only a process that runs is meant. */
const target = z.object({ sandboxId, epoch: z.int().min(1), process: processSelector });
const controlBase = {
  c: channelId,
  t: z.literal('control'),
  out: replyTo.shape.stream,
  requestId,
  startByMs: z.int(),
  target,
};

/**
 * Edge → runner, on the runner life's `in-` stream. `control` is answered by one `result` or `error` on channel `c` of stream `out`, and a
 * repeated `c` is ignored: an XADD whose fate was unknown may be sent again.
 */
export const inHeader = z.discriminatedUnion('t', [
  z.object({ c: channelId, t: z.literal('credit'), bytes: z.int().min(1) }),
  /** The reader is gone; the process lives on. Ends a watch. Aborts a file read. */
  z.object({ c: channelId, t: z.literal('detach') }),
  /** `op: stdin`'s bytes are in `d`. */
  z.object({
    ...controlBase,
    command: z.discriminatedUnion('op', [
      z.object({ op: z.literal('stdin') }),
      z.object({ op: z.literal('close_stdin') }),
      z.object({ op: z.literal('resize'), size: ptySize }),
      z.object({ op: z.literal('signal'), signal: signalName }),
    ]),
  }),
]);
export type InHeader = z.infer<typeof inHeader>;
export type ControlCommand = Extract<InHeader, { t: 'control' }>['command'];
