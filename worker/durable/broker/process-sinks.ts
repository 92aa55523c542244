import type { OutEvent } from '../../../runner/protocol/channel.ts';
import type { ProcessExit } from '../../../runner/protocol/process.ts';
import { concatBytes } from '../../core/concat-bytes.ts';
import type { ServiceError } from '../../core/errors.ts';
import { EventWriter } from './event-writer.ts';
import type { EventSink } from './process-reader.ts';

/** What one exec may gather in the shard before its output is streamed on instead. */
const GATHER_BYTES = 1024 * 1024;

export type ExecAnswer =
  | { kind: 'result'; stdout: Uint8Array; stderr: Uint8Array; exit: ProcessExit }
  /** Too much to gather here: events from the first byte on. */
  | { kind: 'stream'; stream: ReadableStream<Uint8Array> };

export interface Source {
  consumed(bytes: number): void;
  detach(): void;
}

/** Gathers a command's output; resolves at its exit, or as a stream once there is much of it. */
export class ExecSink implements EventSink {
  source: Source | undefined;
  readonly answer: Promise<ExecAnswer>;
  readonly #settle: { resolve(answer: ExecAnswer): void; reject(error: unknown): void };
  #gathered: { event: OutEvent; bytes: Uint8Array | undefined }[] = [];
  #gatheredBytes = 0;
  #writer: EventWriter | undefined;

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<ExecAnswer>();
    this.answer = promise;
    this.#settle = { resolve, reject };
    promise.catch(() => undefined);
  }

  event(event: OutEvent, bytes: Uint8Array | undefined): void {
    if (this.#writer) return this.#writer.event(event, bytes, event.t === 'exit');
    if (event.t === 'started') return;
    if (event.t === 'exit') return this.#settle.resolve(this.#result(event.exit));
    this.#gathered.push({ event, bytes });
    this.#gatheredBytes += bytes?.byteLength ?? 0;
    if (event.t === 'lagged' || this.#gatheredBytes > GATHER_BYTES) return this.#stream();
    this.source?.consumed(bytes?.byteLength ?? 0);
  }

  fail(error: ServiceError): void {
    if (this.#writer) this.#writer.fail(error);
    else this.#settle.reject(error);
  }

  #result(exit: ProcessExit): ExecAnswer {
    return { kind: 'result', stdout: this.#join((fd) => fd !== 2), stderr: this.#join((fd) => fd === 2), exit };
  }

  #join(wanted: (fd: number) => boolean): Uint8Array {
    return concatBytes(
      this.#gathered.flatMap(({ event, bytes }) => (event.t === 'data' && bytes && wanted(event.fd) ? [bytes] : [])),
    );
  }

  #stream(): void {
    // What was gathered has been granted anew already, but for the last event.
    const last = this.#gathered.at(-1)?.bytes?.byteLength ?? 0;
    let prepaidBytes = this.#gatheredBytes - last;
    const writer = new EventWriter(
      (bytes) => {
        const free = Math.min(prepaidBytes, bytes);
        prepaidBytes -= free;
        this.source?.consumed(bytes - free);
      },
      () => this.source?.detach(),
    );
    for (const { event, bytes } of this.#gathered) writer.event(event, bytes);
    this.#gathered = [];
    this.#writer = writer;
    this.#settle.resolve({ kind: 'stream', stream: writer.readable });
  }
}

/** Hands a process's events on as a stream, once it is certain that there is something to follow. */
export class StreamSink implements EventSink {
  source: Source | undefined;
  readonly stream: Promise<ReadableStream<Uint8Array>>;
  readonly #settle: { resolve(stream: ReadableStream<Uint8Array>): void; reject(error: unknown): void };
  readonly #endsWhenStarted: boolean;
  #writer: EventWriter | undefined;

  constructor(endsWhenStarted: boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<ReadableStream<Uint8Array>>();
    this.stream = promise;
    this.#settle = { resolve, reject };
    this.#endsWhenStarted = endsWhenStarted;
    promise.catch(() => undefined);
  }

  event(event: OutEvent, bytes: Uint8Array | undefined): void {
    const final = event.t === 'exit' || (this.#endsWhenStarted && event.t === 'started');
    this.#open().event(event, bytes, final);
    if (final && event.t === 'started') this.source?.detach();
  }

  fail(error: ServiceError): void {
    if (this.#writer) this.#writer.fail(error);
    else this.#settle.reject(error);
  }

  #open(): EventWriter {
    if (this.#writer) return this.#writer;
    this.#writer = new EventWriter(
      (bytes) => this.source?.consumed(bytes),
      () => this.source?.detach(),
    );
    this.#settle.resolve(this.#writer.readable);
    return this.#writer;
  }
}
