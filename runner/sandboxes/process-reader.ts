import type { ProcessSink, ReaderHandle } from '../agent/session.ts';
import type { Conversation } from '../channels/conversations.ts';
import type { Attachment, ProcessExit } from '../protocol/process.ts';

/** A wait for the agent is counted in turns of a timer: while the sandbox stands still none pass. So does the agent count how long it remembers. */
const TURN_MS = 1_000;

/** What a reader tells the process it reads of. */
export interface ReaderOwner {
  /** The sandbox stands still, and will go on. */
  readonly atRest: boolean;
  /** The agent has said so to this reader, after all of its output. */
  exited(exit: ProcessExit, outputBytes: number, reader: ProcessReader): void;
  lost(reader: ProcessReader): void;
  /** The reader is gone before the exit. */
  left(reader: ProcessReader): void;
}

/**
 * Carries one process's output from the agent to one channel. `started` is always the first thing said: what the agent sends in
 * the same breath as its answer to the start is held back until then.
 */
export class ProcessReader implements ProcessSink {
  readonly conversation: Conversation;
  readonly foreground: boolean;
  /** Whether it takes output, or only waits for the exit. */
  readonly #output: boolean;
  readonly #owner: ReaderOwner;
  #handle: ReaderHandle | undefined;
  #early: (() => void)[] | undefined = [];
  #outputEnd: number;
  #lost = false;
  /** What the agent may still send it. */
  #creditBytes: number;
  /** Set while the rest of an ended process's output is on its way: what to say if it does not come. */
  #rest: { exit: ProcessExit; outputBytes: number; leftMs: number; turns: NodeJS.Timeout } | undefined;

  constructor(conversation: Conversation, attach: Attachment, owner: ReaderOwner) {
    this.conversation = conversation;
    this.foreground = attach.foreground;
    this.#output = attach.output;
    this.#creditBytes = attach.creditBytes;
    this.#owner = owner;
    this.#outputEnd = attach.fromOffset === 'end' ? 0 : attach.fromOffset;
    conversation.signal.addEventListener('abort', () => this.#leave(), { once: true });
  }

  /** The offset after the last byte that was passed on. */
  get outputEnd(): number {
    return this.#outputEnd;
  }

  /** Whether it lets the agent say nothing at the moment, its exit included. */
  get starved(): boolean {
    return this.#output && this.#creditBytes <= 0;
  }

  /** `offset`: where its output begins, for one that could not know. */
  begin(processId: string, pid: number, handle: ReaderHandle | null, offset?: number): void {
    this.#handle = handle ?? undefined;
    if (!this.conversation.open) return this.#leave();
    this.#outputEnd = Math.max(this.#outputEnd, offset ?? 0);
    this.conversation.send({ t: 'started', processId, pid, ...(offset === undefined ? {} : { o: offset }) });
    this.conversation.onCredit((bytes) => {
      this.#creditBytes += bytes;
      this.#handle?.grant(bytes);
    });
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const say of early) say();
  }

  data(fd: 0 | 1 | 2, offset: number, bytes: Uint8Array): void {
    this.#inOrder(() => {
      this.#outputEnd = offset + bytes.byteLength;
      this.#creditBytes -= bytes.byteLength;
      this.conversation.send({ t: 'data', fd, o: offset }, bytes);
    });
  }

  lagged(droppedBytes: number, detached: boolean): void {
    this.#inOrder(() => {
      this.#outputEnd += droppedBytes;
      this.conversation.send({ t: 'lagged', droppedBytes, detached });
      if (!detached) return;
      this.conversation.finish();
      this.#owner.left(this);
    });
  }

  exit(exit: ProcessExit, outputBytes: number): void {
    this.#inOrder(() => this.#owner.exited(exit, outputBytes, this));
  }

  lost(): void {
    this.#inOrder(() => {
      this.#lost = true;
      if (this.#rest) this.#endWithoutRest();
      else this.#owner.lost(this);
    });
  }

  /** The process has ended, as another reader has heard first: the rest of its output, and its end, are still to come here. */
  awaitRest(exit: ProcessExit, outputBytes: number, withinMs: number): void {
    this.forgetRest();
    const turns = setInterval(() => this.#passTurn(), TURN_MS);
    this.#rest = { exit, outputBytes, leftMs: withinMs, turns };
    if (this.#lost) this.#endWithoutRest();
  }

  /** Nobody waits for it any more. */
  forgetRest(): void {
    clearInterval(this.#rest?.turns);
    this.#rest = undefined;
  }

  /** The last word. */
  end(exit: ProcessExit, outputBytes: number): void {
    this.conversation.send({ t: 'exit', o: outputBytes, exit });
  }

  #passTurn(): void {
    if (!this.#rest || this.#owner.atRest) return;
    this.#rest.leftMs -= TURN_MS;
    if (this.#rest.leftMs <= 0) this.#endWithoutRest();
  }

  #endWithoutRest(): void {
    if (!this.#rest) return;
    const { exit, outputBytes } = this.#rest;
    this.#handle?.detach();
    const droppedBytes = outputBytes - this.#outputEnd;
    if (this.#output && droppedBytes > 0) this.conversation.send({ t: 'lagged', droppedBytes, detached: false });
    this.end(exit, outputBytes);
    this.#owner.left(this);
  }

  #inOrder(say: () => void): void {
    if (this.#early) this.#early.push(say);
    else say();
  }

  #leave(): void {
    this.#handle?.detach();
    this.#owner.left(this);
  }
}
