import type { AgentEvent } from '../../protocol/agent.ts';
import { outputFrame } from '../../protocol/agent.ts';
import { limits } from '../../protocol/limits.ts';
import type { Attachment, ProcessExit } from '../../protocol/process.ts';
import type { OutputRing } from './ring.ts';

/** Where a reader's frames go: the control connection that made it. */
export interface Outlet {
  frame(frame: Uint8Array): void;
  event(event: AgentEvent): void;
  /** The host takes less than it is sent at the moment. */
  readonly congested: boolean;
}

/** Unsent bytes at which a foreground reader holds its process back, and at which it lets it go on. */
const holdBytes = 256 * 1024;
const releaseBytes = 64 * 1024;

/** One attachment to one process: what it has been sent, and what it may still be sent. */
export class Reader {
  readonly id: number;
  #next: number;
  #credit: number;
  #dropped = 0;
  #ended: { exit: ProcessExit; outputBytes: number } | undefined;
  #stall: Timer | undefined;
  #holding = false;
  #suspended = false;
  readonly #attach: Attachment;
  readonly #ring: OutputRing;
  readonly #outlet: Outlet;
  readonly #onDone: (reader: Reader) => void;

  constructor(id: number, attach: Attachment, ring: OutputRing, outlet: Outlet, onDone: (reader: Reader) => void) {
    this.id = id;
    this.#attach = attach;
    this.#ring = ring;
    this.#outlet = outlet;
    this.#onDone = onDone;
    this.#next = attach.fromOffset === 'end' ? ring.end : attach.fromOffset;
    this.#credit = attach.creditBytes;
  }

  get mayHold(): boolean {
    return this.#attach.foreground && this.#attach.output;
  }

  /** Whether the process must wait for this reader. */
  get holds(): boolean {
    if (!this.mayHold) return false;
    const unsent = this.#ring.end - this.#next;
    this.#holding = unsent >= (this.#holding ? releaseBytes : holdBytes);
    return this.#holding;
  }

  grant(bytes: number): void {
    this.#credit += bytes;
    clearTimeout(this.#stall);
    this.#stall = undefined;
    this.pump();
  }

  /** Its connection is gone: it says nothing more, but goes on to hold the process by what it has not sent. */
  suspend(): void {
    this.close();
    this.#suspended = true;
  }

  /** Sends what the ring has and the credit allows. */
  pump(): void {
    if (this.#suspended) return;
    if (!this.#attach.output) return this.#finish();
    if (this.#next < this.#ring.start) {
      this.#dropped += this.#ring.start - this.#next;
      this.#next = this.#ring.start;
    }
    while (this.#next < this.#ring.end && this.#credit > 0) {
      const run = this.#ring.runAt(this.#next);
      if (run === undefined) break;
      if (this.#dropped > 0) this.#reportDropped(false);
      const bytes = Math.min(run.bytes, this.#credit, limits.dataEventBytes);
      const { frame, body } = outputFrame(this.id, run.fd, this.#next, bytes);
      this.#ring.copyTo(body, this.#next);
      this.#next += bytes;
      this.#credit -= bytes;
      this.#outlet.frame(frame);
    }
    if (this.#next < this.#ring.end) this.#watchStall();
    else this.#finish();
  }

  end(exit: ProcessExit, outputBytes: number): void {
    if (this.#suspended) return;
    this.#ended = { exit, outputBytes };
    this.pump();
  }

  /** The process is forgotten: what was not sent is lost. */
  expire(): void {
    if (this.#ended === undefined) return;
    this.#dropped += this.#ring.end - this.#next;
    this.#next = this.#ring.end;
    this.#finish();
  }

  close(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }

  #finish(): void {
    if (this.#ended === undefined) return;
    if (this.#dropped > 0) this.#reportDropped(false);
    this.close();
    this.#outlet.event({ event: 'exit', reader: this.id, ...this.#ended });
    this.#onDone(this);
  }

  #reportDropped(detached: boolean): void {
    this.#outlet.event({ event: 'lagged', reader: this.id, droppedBytes: this.#dropped, detached });
    this.#dropped = 0;
  }

  #watchStall(): void {
    if (!this.#attach.foreground || this.#stall !== undefined) return;
    this.#stall = setTimeout(() => {
      this.#dropped += this.#ring.end - this.#next;
      this.#reportDropped(true);
      this.#onDone(this);
    }, limits.creditStallMs);
  }
}
