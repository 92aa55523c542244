import type { Attachment, ProcessSelector } from '../../runner/protocol/process.ts';
import { limits } from '../../runner/protocol/limits.ts';
import { concatBytes } from '../core/concat-bytes.ts';
import { ServiceError } from '../core/errors.ts';
import type { EventStream, ExecResult, StreamEvent } from '../core/ports.ts';
import { FrameDecoder } from '../durable/broker/event-frames.ts';
import { errorOf } from '../durable/broker/outcome.ts';
import { BrokerGone } from './broker-gone.ts';

/** A shard that broke off is asked again for this long. */
const REATTACH_MS = 20_000;
const REATTACH_PAUSE_MS = 250;
/** Until then a start whose fate is unknown may still begin. */
const START_SETTLED_MS = limits.startWithinMs + 1_000;

/**
 * One read's size follows what comes: a default reader would get 4 KiB at a time, most processes say less than the first of these, and
 * what is typed into a terminal a tenth of the least.
 */
const READ_FIRST_BYTES = 16 * 1024;
const READ_MIN_BYTES = 1024;
const READ_MAX_BYTES = limits.channelCreditBytes;

type Bytes = ReadableStream<Uint8Array>;

/** How to get at a process's events: the call that began it, and the one that comes back to it. */
export interface ProcessSource {
  /** Rejects with BrokerGone if its fate is unknown. */
  open(): Promise<Bytes>;
  /** Absent where what was missed can't be had again. */
  attach: ((process: ProcessSelector, attachment: Attachment) => Promise<Bytes>) | undefined;
  /** Who is meant; absent where there is no process. */
  process: ProcessSelector | undefined;
  attachment: Attachment;
  /** Whether `open` starts the process: then it may not be known yet when it is first asked for. */
  starts: boolean;
  /** `started` is its last event. */
  endsWhenStarted: boolean;
}

/** Events of one process, whatever becomes of the shards on the way: ends after its final event or fails with a ServiceError. */
export class ProcessEvents implements EventStream {
  readonly #source: ProcessSource;
  #reader: ReadableStreamBYOBReader | undefined;
  #readBytes = READ_FIRST_BYTES;
  #decoder = new FrameDecoder();
  #ready: StreamEvent[] = [];
  #offset: Attachment['fromOffset'];
  /** By its id once that is known: a pid and a tag may be another's later. */
  #process: ProcessSelector | undefined;
  #started = false;
  #over = false;
  /** What ended it, told after all that came before. */
  #failure: ServiceError | undefined;

  constructor(source: ProcessSource) {
    this.#source = source;
    this.#offset = source.attachment.fromOffset;
    this.#process = source.process;
  }

  /** Resolves when there is something to read; so that a refusal is an answer and not a broken stream. */
  async open(): Promise<void> {
    try {
      this.#read(await this.#source.open());
    } catch (error) {
      if (!(error instanceof BrokerGone)) throw error;
      await this.#reattach(error);
    }
  }

  async next(): Promise<StreamEvent | undefined> {
    for (;;) {
      const event = this.#ready.shift();
      if (event) return event;
      if (this.#over) return undefined;
      if (this.#failure) throw this.#failure;
      await this.#fill();
    }
  }

  async cancel(): Promise<void> {
    this.#over = true;
    await this.#reader?.cancel().catch(() => undefined);
  }

  #read(stream: Bytes): void {
    this.#reader = stream.getReader({ mode: 'byob' });
    this.#decoder = new FrameDecoder();
  }

  async #fill(): Promise<void> {
    let chunk: ReadableStreamReadResult<Uint8Array>;
    try {
      if (!this.#reader) throw new Error('not open');
      chunk = await this.#reader.read(new Uint8Array(this.#readBytes));
      if (chunk.done) throw new Error('the stream ended early');
      const { byteLength } = chunk.value;
      if (byteLength === this.#readBytes) this.#readBytes = Math.min(this.#readBytes * 4, READ_MAX_BYTES);
      else if (byteLength * 16 < this.#readBytes) this.#readBytes = Math.max(this.#readBytes / 4, READ_MIN_BYTES);
    } catch (error) {
      return this.#over ? undefined : this.#reattach(error);
    }
    for (const frame of this.#decoder.push(chunk.value)) {
      if (frame.kind === 'event') this.#take(frame.event);
      else this.#failure ??= errorOf(frame.failure);
    }
  }

  #take(event: StreamEvent): void {
    if (event.t === 'started') {
      if (this.#started) return;
      this.#started = true;
      this.#process = { processId: event.processId };
      if (this.#offset === 'end') this.#offset = event.o ?? 'end';
      this.#over = this.#source.endsWhenStarted;
    } else if (event.t === 'data') this.#offset = event.o + (event.bytes?.byteLength ?? 0);
    else if (event.t === 'lagged' && this.#offset !== 'end') this.#offset += event.droppedBytes;
    else if (event.t === 'exit') this.#over = true;
    this.#ready.push(event);
  }

  async #reattach(cause: unknown): Promise<void> {
    const { attach } = this.#source;
    const process = this.#process;
    if (!attach || !process) throw lost(cause);
    const beganMs = Date.now();
    const attachment = { ...this.#source.attachment, fromOffset: this.#offset };
    for (;;) {
      try {
        const stream = await attach(process, attachment);
        return this.#over ? await stream.cancel() : this.#read(stream);
      } catch (error) {
        const waitedMs = Date.now() - beganMs;
        const unknown = error instanceof ServiceError && error.code === 'process_not_found';
        if (unknown && this.#source.starts && !this.#started) {
          if (waitedMs >= START_SETTLED_MS) throw neverStarted(cause);
        } else if (!passing(error) || waitedMs >= REATTACH_MS) throw lost(error);
      }
      await new Promise((resolve) => setTimeout(resolve, REATTACH_PAUSE_MS));
    }
  }
}

const passing = (error: unknown): boolean =>
  error instanceof BrokerGone ||
  (error instanceof ServiceError && (error.code === 'not_started' || error.code === 'unavailable'));

const neverStarted = (cause: unknown): ServiceError =>
  new ServiceError('not_started', 'The sandbox’s node could not be reached in time. Nothing was started; try again.', {
    cause,
    retryAfterSeconds: 1,
  });

const lost = (cause: unknown): ServiceError => {
  if (cause instanceof ServiceError && !passing(cause) && cause.code !== 'process_not_found') return cause;
  return new ServiceError(
    'stream_lost',
    'The connection to the process was lost. It may still run; attach again to go on.',
    { cause },
  );
};

/** All output up to the exit. Its size is bounded by the spec's outputLimitBytes, which the agent applies. */
export const collectExec = async (processId: string, events: ProcessEvents): Promise<ExecResult> => {
  const output: { stderr: boolean; bytes: Uint8Array }[] = [];
  for (let event = await events.next(); event; event = await events.next()) {
    if (event.t === 'data' && event.bytes) output.push({ stderr: event.fd === 2, bytes: event.bytes });
    if (event.t === 'lagged') {
      await events.cancel();
      throw new ServiceError('stream_lost', 'Part of the output was lost on the way. The command was not stopped.');
    }
    if (event.t !== 'exit') continue;
    const join = (stderr: boolean) =>
      concatBytes(output.filter((part) => part.stderr === stderr).map((part) => part.bytes));
    return { processId, stdout: join(false), stderr: join(true), exit: event.exit };
  }
  throw new ServiceError('stream_lost', 'The output ended before the command did.');
};
