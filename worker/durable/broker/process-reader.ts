import type { OutEvent, OutHeader } from '../../../runner/protocol/channel.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Attachment, ProcessSelector, ProcessSpec } from '../../../runner/protocol/process.ts';
import { errorFromRunner, ServiceError } from '../../core/errors.ts';
import type { SandboxRef } from '../../core/ports.ts';
import { envelopeOf } from './calls.ts';
import type { Channel, Receiver } from './channel.ts';
import type { LiveRoute } from './routes.ts';
import { notStarted, runnerLost, type Shard } from './shard.ts';

/** Within this time an interrupted reader is attached again, or its call ends. */
const REATTACH_MS = 20_000;
const REATTACH_PAUSE_MS = 500;
/** Smaller grants are saved up. */
const GRANTS_PER_WINDOW = 4;

/** Where a process's events go. `bytes` belong to the taker, who says by `consumed` when they are out of the way. */
export interface EventSink {
  event(event: OutEvent, bytes: Uint8Array | undefined): void;
  fail(error: ServiceError): void;
}

/**
 * One reader of a process's output. It remembers how far it has come, so that after a loss on the way it attaches again and
 * its sink sees neither a gap nor a repeat, unless the ring overran (then `lagged`).
 */
export class ProcessReader implements Receiver {
  readonly #shard: Shard;
  readonly #ref: SandboxRef;
  readonly #route: LiveRoute;
  /** By its id once that is known: a pid and a tag may be another's later. */
  #process: ProcessSelector;
  readonly #attachment: Attachment;
  readonly #sink: EventSink;
  #channel: Channel | undefined;
  /** The offset of the next byte that the sink has not seen. */
  #offset: Attachment['fromOffset'];
  /** Consumed but not yet granted anew. */
  #owedBytes = 0;
  /** May still be sent by the runner under what was granted. */
  #grantedBytes = 0;
  /** Its part of the shard's credit, held until it is over. */
  #windowBytes = 0;
  /** Of one that starts its process: whether the runner has begun to, and until when it may where nothing was heard of it. */
  #begun = false;
  #mayBeginUntilMs: number | undefined;
  #announced = false;
  #over = false;
  /** Set while a lost reader is being attached again. */
  #recoverByMs: number | undefined;
  /** Only the last attempt to attach again counts: what cuts one off on its way is told twice. */
  #attempts = 0;

  constructor(
    shard: Shard,
    ref: SandboxRef,
    route: LiveRoute,
    process: ProcessSelector,
    attachment: Attachment,
    sink: EventSink,
  ) {
    this.#shard = shard;
    this.#ref = ref;
    this.#route = route;
    this.#process = process;
    this.#attachment = attachment;
    this.#sink = sink;
    this.#offset = attachment.fromOffset;
  }

  async start(spec: ProcessSpec, attach: Attachment | null): Promise<void> {
    const windowed = attach ? this.#windowed(attach) : null;
    const payload = { ...envelopeOf(this.#ref, this.#route), spec, attach: windowed };
    this.#mayBeginUntilMs = Number.POSITIVE_INFINITY;
    try {
      const { acceptByMs } = await this.#follow(
        this.#shard.deliver('process.start', this.#route.runnerId, payload, this),
      );
      this.#mayBeginUntilMs = acceptByMs;
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  async attach(): Promise<void> {
    const attach = this.#windowed({ ...this.#attachment, fromOffset: this.#offset });
    const payload = { ...envelopeOf(this.#ref, this.#route), process: this.#process, attach };
    try {
      await this.#follow(this.#shard.deliver('process.attach', this.#route.runnerId, payload, this));
    } catch (error) {
      if (this.#recoverByMs === undefined) this.#close();
      throw error;
    }
  }

  #windowed(attachment: Attachment): Attachment {
    this.#windowBytes ||= this.#shard.credit.take(attachment.creditBytes);
    this.#grantedBytes = this.#windowBytes;
    return { ...attachment, creditBytes: this.#windowBytes };
  }

  /** Events may have come, or the reader gone, before the delivery was confirmed. */
  async #follow(delivery: Promise<Channel>): Promise<Channel> {
    const channel = await delivery;
    this.#channel = channel;
    if (this.#over) this.#shard.detach(channel);
    else this.consumed(0);
    return channel;
  }

  event(header: OutHeader, bytes: Uint8Array | undefined): void {
    if (this.#over) return;
    switch (header.t) {
      case 'accepted':
        // One that attaches again is accepted before its process is looked for.
        this.#begun ||= this.#recoverByMs === undefined;
        return;
      case 'started':
        return this.#started(header);
      case 'data':
        return this.#data(header, bytes ?? new Uint8Array());
      case 'lagged':
        return this.#lagged(header);
      case 'exit':
        this.#close();
        return this.#sink.event({ t: 'exit', o: header.o, exit: header.exit }, undefined);
      case 'error':
        return this.fail(errorFromRunner(header.fault));
      case 'watch':
      case 'result':
      case 'end':
        return this.fail(runnerLost(new Error(`unexpected event ${header.t}`)));
      default:
        return header satisfies never;
    }
  }

  #started({ processId, pid, o }: Extract<OutHeader, { t: 'started' }>): void {
    this.#begun = true;
    this.#recoverByMs = undefined;
    if (this.#announced) return;
    this.#announced = true;
    this.#process = { processId };
    if (this.#offset === 'end' && o !== undefined) this.#offset = o;
    this.#sink.event({ t: 'started', processId, pid, ...(o === undefined ? {} : { o }) }, undefined);
  }

  #data(header: Extract<OutHeader, { t: 'data' }>, bytes: Uint8Array): void {
    this.#grantedBytes -= bytes.byteLength;
    // One event may overdraw: an agent need not split what it has read to the byte.
    if (bytes.byteLength > limits.dataEventBytes || this.#grantedBytes < -limits.dataEventBytes) {
      return this.fail(new ServiceError('stream_lost', 'The sandbox’s node sent more than it was asked for.'));
    }
    const seenBytes = this.#offset === 'end' ? 0 : Math.max(this.#offset - header.o, 0);
    if (seenBytes >= bytes.byteLength) return this.consumed(bytes.byteLength);
    const fresh = bytes.subarray(seenBytes);
    if (seenBytes > 0) this.consumed(seenBytes);
    const offset = header.o + seenBytes;
    this.#offset = offset + fresh.byteLength;
    this.#sink.event({ t: 'data', fd: header.fd, o: offset }, fresh);
  }

  #lagged({ droppedBytes, detached, resumable }: Extract<OutHeader, { t: 'lagged' }>): void {
    if (detached && resumable) return this.#recover(REATTACH_PAUSE_MS);
    if (this.#offset !== 'end') this.#offset += droppedBytes;
    this.#sink.event({ t: 'lagged', droppedBytes, detached }, undefined);
    if (!detached) return;
    this.#close();
    this.#sink.fail(new ServiceError('stream_lost', 'The output was not read in time. Attach again to go on.'));
  }

  /** The sink is done with that many bytes: as many more may come. */
  consumed(bytes: number): void {
    this.#owedBytes += bytes;
    if (
      this.#owedBytes < this.#windowBytes / GRANTS_PER_WINDOW ||
      this.#owedBytes === 0 ||
      this.#over ||
      !this.#channel
    )
      return;
    const granted = this.#owedBytes;
    this.#owedBytes = 0;
    this.#grantedBytes += granted;
    // If this is lost then so is the connection, and the reader attaches anew with fresh credit.
    this.#shard.tell(this.#channel, { c: this.#channel.id, t: 'credit', bytes: granted }).catch(() => undefined);
  }

  /** The reader goes; the process lives on. */
  detach(): void {
    this.#close();
    if (this.#channel) this.#shard.detach(this.#channel);
  }

  #close(): void {
    this.#over = true;
    this.#shard.credit.give(this.#windowBytes);
    this.#windowBytes = 0;
  }

  fail(error: ServiceError): void {
    if (this.#over) return;
    if (this.#recoverByMs === undefined) return this.#end(error);
    const nowMs = Date.now();
    if (nowMs < this.#recoverByMs && this.#mayPass(error, nowMs)) return this.#reattach(REATTACH_PAUSE_MS);
    this.#end(this.#unrecovered(error, nowMs));
  }

  /** Whether what kept it from attaching again may be over soon. */
  #mayPass({ code }: ServiceError, nowMs: number): boolean {
    if (code === 'process_not_found') return !this.#begun && nowMs < (this.#mayBeginUntilMs ?? 0);
    return code === 'not_started' || code === 'unavailable' || code === 'runner_lost';
  }

  #unrecovered(error: ServiceError, nowMs: number): ServiceError {
    if (error.code === 'sandbox_ended') return new ServiceError('sandbox_ended', error.message, { cause: error });
    if (error.code !== 'process_not_found') return runnerLost(error);
    if (this.#mayBeginUntilMs === undefined) return error;
    // That it never ran is certain if no start was heard of and none can come any more; for so long one that has ended is known.
    const waitedMs = nowMs - this.#mayBeginUntilMs;
    return !this.#begun && waitedMs >= 0 && waitedMs < REATTACH_MS ? notStarted(error) : runnerLost(error);
  }

  lost(): void {
    if (!this.#over) this.#recover(0);
  }

  #recover(pauseMs: number): void {
    this.#recoverByMs ??= Date.now() + REATTACH_MS;
    this.#reattach(pauseMs);
  }

  #reattach(pauseMs: number): void {
    this.#owedBytes = 0;
    const attempt = ++this.#attempts;
    setTimeout(() => {
      if (this.#over || attempt !== this.#attempts) return;
      this.attach().catch((error: unknown) => {
        if (attempt === this.#attempts) this.fail(error instanceof ServiceError ? error : runnerLost(error));
      });
    }, pauseMs);
  }

  #end(error: ServiceError): void {
    this.detach();
    this.#sink.fail(error);
  }
}
