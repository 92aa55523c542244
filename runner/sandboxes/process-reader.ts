import type { Attachment, ProcessExit } from '../protocol/process.ts';
import type { ProcessSink, ReaderHandle } from '../agent/session.ts';
import type { Conversation } from '../channels/conversations.ts';

/** What a reader tells the process it reads of. */
export interface ReaderOwner {
  exited(exit: ProcessExit, outputBytes: number): void;
  lost(): void;
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
  readonly #owner: ReaderOwner;
  #handle: ReaderHandle | undefined;
  #early: (() => void)[] | undefined = [];
  #outputEnd: number;

  constructor(conversation: Conversation, attach: Pick<Attachment, 'foreground' | 'fromOffset'>, owner: ReaderOwner) {
    this.conversation = conversation;
    this.foreground = attach.foreground;
    this.#owner = owner;
    this.#outputEnd = attach.fromOffset === 'end' ? 0 : attach.fromOffset;
    conversation.resumable = true;
    conversation.signal.addEventListener('abort', () => this.#leave(), { once: true });
  }

  /** The offset after the last byte that was passed on. */
  get outputEnd(): number {
    return this.#outputEnd;
  }

  /** `offset`: where its output begins, for one that could not know. */
  begin(processId: string, pid: number, handle: ReaderHandle | null, offset?: number): void {
    if (!this.conversation.open) return handle?.detach();
    this.#handle = handle ?? undefined;
    this.#outputEnd = Math.max(this.#outputEnd, offset ?? 0);
    this.conversation.send({ t: 'started', processId, pid, ...(offset === undefined ? {} : { o: offset }) });
    this.conversation.onCredit((bytes) => this.#handle?.grant(bytes));
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const say of early) say();
  }

  data(fd: 0 | 1 | 2, offset: number, bytes: Uint8Array): void {
    this.#inOrder(() => {
      this.#outputEnd = offset + bytes.byteLength;
      this.conversation.send({ t: 'data', fd, o: offset }, bytes);
    });
  }

  lagged(droppedBytes: number, detached: boolean): void {
    this.#inOrder(() => {
      this.conversation.send({ t: 'lagged', droppedBytes, detached });
      if (!detached) return;
      this.conversation.finish();
      this.#owner.left(this);
    });
  }

  exit(exit: ProcessExit, outputBytes: number): void {
    this.#inOrder(() => this.#owner.exited(exit, outputBytes));
  }

  lost(): void {
    this.#inOrder(() => this.#owner.lost());
  }

  /** The last word. */
  end(exit: ProcessExit, outputBytes: number): void {
    this.conversation.send({ t: 'exit', o: outputBytes, exit });
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
