import type { AgentEvent } from '../protocol/agent.ts';
import { decodeOutput, encodeCredit, encodeDetach } from '../protocol/agent.ts';
import type { Attachment } from '../protocol/process.ts';
import { AgentViolation } from './replies.ts';
import type { Resumable } from './resumption.ts';
import type { ProcessSink, ReaderHandle } from './session.ts';

interface HostReader {
  processId: string;
  attach: Attachment;
  sink: ProcessSink;
  /** Offset of the next byte ('end' until the agent has said where that is), and what may still be sent. */
  next: number | 'end';
  credit: number;
}

const creditMax = 0xffffffff;

/** The session's readers: what each has been sent and may be sent. They outlive a control connection. */
export class HostReaders {
  #nextId = 1;
  readonly #readers = new Map<number, HostReader>();
  readonly #send: (frame: Uint8Array) => void;

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  add(processId: string, attach: Attachment, sink: ProcessSink): { id: number; handle: ReaderHandle } {
    const id = this.#nextId;
    this.#nextId += 1;
    const reader = { processId, attach, sink, next: attach.fromOffset, credit: attach.creditBytes };
    this.#readers.set(id, reader);
    const handle = {
      grant: (bytes: number) => {
        if (!this.#readers.has(id) || bytes <= 0) return;
        reader.credit += bytes;
        this.#send(encodeCredit(id, Math.min(bytes, creditMax)));
      },
      detach: () => {
        if (this.#readers.delete(id)) this.#send(encodeDetach(id));
      },
    };
    return { id, handle };
  }

  /** The agent's answer to an attachment: where its output begins. */
  begun(id: number, offset: number): void {
    const reader = this.#readers.get(id);
    if (reader?.next === 'end') reader.next = offset;
  }

  /** To attach again on a new connection of the same agent. `attach` answers where the output begins. */
  resumable(
    attach: (processId: string, reader: { id: number; attach: Attachment }, timeoutMs: number) => Promise<number>,
    failed: (processId: string, error: unknown) => void,
  ): Resumable[] {
    return [...this.#readers].map(([id, { processId }]) => ({
      again: async (timeoutMs) => {
        // As it is now: it may have granted more meanwhile, to an agent that did not know it yet, or have left.
        const reader = this.#readers.get(id);
        if (reader === undefined) return;
        const wire = { id, attach: { ...reader.attach, fromOffset: reader.next, creditBytes: reader.credit } };
        this.begun(id, await attach(processId, wire, timeoutMs));
      },
      lost: (error) => {
        // Should it be attached after all, nobody reads it, and its process would be held back.
        if (this.#readers.has(id)) this.#send(encodeDetach(id));
        this.lost(id);
        failed(processId, error);
      },
    }));
  }

  output(payload: Uint8Array): void {
    const output = decodeOutput(payload);
    if (output === undefined) throw new AgentViolation('output of the wrong shape');
    const reader = this.#find(output.reader);
    if (reader === undefined) return;
    if (output.bytes.length > reader.credit) throw new AgentViolation('output beyond the credit');
    if (reader.next !== 'end' && output.offset < reader.next) throw new AgentViolation('output that was sent before');
    reader.credit -= output.bytes.length;
    reader.next = output.offset + output.bytes.length;
    reader.sink.data(output.fd, output.offset, output.bytes);
  }

  lagged(event: Extract<AgentEvent, { event: 'lagged' }>): void {
    const reader = this.#find(event.reader);
    if (reader === undefined) return;
    if (reader.next !== 'end') reader.next += event.droppedBytes;
    if (event.detached) this.#readers.delete(event.reader);
    reader.sink.lagged(event.droppedBytes, event.detached);
  }

  exited(event: Extract<AgentEvent, { event: 'exit' }>): void {
    const reader = this.#find(event.reader);
    if (reader === undefined) return;
    this.#readers.delete(event.reader);
    reader.sink.exit(event.exit, event.outputBytes);
  }

  lost(id: number): void {
    const reader = this.#readers.get(id);
    this.#readers.delete(id);
    reader?.sink.lost();
  }

  loseAll(): void {
    for (const id of this.#readers.keys()) this.lost(id);
  }

  /** undefined: detached a moment ago, with frames still on the way. */
  #find(id: number): HostReader | undefined {
    if (id >= this.#nextId) throw new AgentViolation('output for a reader that never was');
    return this.#readers.get(id);
  }
}
