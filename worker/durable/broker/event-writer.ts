import type { OutEvent } from '../../../runner/protocol/channel.ts';
import { watchEventCredit } from '../../../runner/protocol/files.ts';
import { concatBytes } from '../../core/concat-bytes.ts';
import type { ServiceError } from '../../core/errors.ts';
import { encodeEvent, encodeFailure, signOfLife } from './event-frames.ts';
import { describeFailure } from './outcome.ts';
import type { EventSink } from './process-reader.ts';

/** A stream that says nothing is written to this often: only so is it noticed that its reader went away. */
const SIGN_OF_LIFE_MS = 3_000;

interface Pending {
  frame: Uint8Array;
  payloadBytes: number;
  final: boolean;
}

/** Events as a byte stream for the Worker. What waits in it is bounded by the credit that its source was granted. */
export class EventWriter implements EventSink {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #consumed: (bytes: number) => void;
  readonly #cancelled: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #pending: Pending[] = [];
  #writing = false;
  #over = false;

  /** `consumed`: payload bytes that the reader has taken. `cancelled`: it takes no more. */
  constructor(consumed: (bytes: number) => void, cancelled: () => void) {
    const { readable, writable } = new IdentityTransformStream();
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#consumed = consumed;
    this.#cancelled = cancelled;
    this.#writer.closed.catch(() => this.#end());
    this.#timer = setInterval(() => {
      if (!this.#writing) this.#push({ frame: signOfLife(), payloadBytes: 0, final: false });
    }, SIGN_OF_LIFE_MS);
  }

  event(event: OutEvent, bytes: Uint8Array | undefined, final = false): void {
    this.#push({ frame: encodeEvent(event, bytes), payloadBytes: creditOf(event, bytes), final });
  }

  fail(error: ServiceError): void {
    this.#push({ frame: encodeFailure(describeFailure(error)), payloadBytes: 0, final: true });
  }

  #push(pending: Pending): void {
    if (this.#over) return;
    this.#pending.push(pending);
    if (!this.#writing) this.#write().catch(() => this.#end());
  }

  /** Everything that has gathered goes as one chunk: a stream of small events costs one crossing a batch. */
  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      await this.#writer.write(joined(batch));
      if (this.#over) return;
      this.#consumed(batch.reduce((sum, pending) => sum + pending.payloadBytes, 0));
      if (!batch.some((pending) => pending.final)) continue;
      this.#over = true;
      clearInterval(this.#timer);
      await this.#writer.close();
    }
    this.#writing = false;
  }

  /** The reader cancelled, or its Worker is gone. */
  #end(): void {
    clearInterval(this.#timer);
    this.#pending = [];
    if (this.#over) return;
    this.#over = true;
    this.#cancelled();
  }
}

/** What an event took of its reader's credit. */
const creditOf = (event: OutEvent, bytes: Uint8Array | undefined): number =>
  event.t === 'watch'
    ? event.events.reduce((sum, change) => sum + watchEventCredit(change), 0)
    : (bytes?.byteLength ?? 0);

const joined = (batch: readonly Pending[]): Uint8Array => {
  const [first] = batch;
  return first && batch.length === 1 ? first.frame : concatBytes(batch.map(({ frame }) => frame));
};
