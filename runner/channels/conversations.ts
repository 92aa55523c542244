import { finalKinds, letGo, type InHeader, type OutEvent } from '../protocol/channel.ts';
import type { ReplyTo } from '../protocol/jobs.ts';
import type { RunnerFault } from '../protocol/errors.ts';
import type { OutChannel, Publisher } from './publisher.ts';

/** All open channels of this runner. Beyond it new jobs are refused: a reader costs memory here and in the agent. */
const OPEN_CHANNELS = 16_384;

/**
 * One channel, both ways: what the handler says goes out in order; credit and detach come in. It is over after a final event, when
 * the edge detaches, and when its stream is gone; `signal` aborts in the latter two.
 */
export class Conversation {
  readonly #out: OutChannel;
  readonly #detached = new AbortController();
  readonly #onEnd: () => void;
  #onCredit: ((bytes: number) => void) | undefined;
  #creditBytes = 0;

  constructor(out: OutChannel, onEnd: () => void) {
    this.#out = out;
    this.#onEnd = onEnd;
  }

  get id(): string {
    return this.#out.id;
  }

  get open(): boolean {
    return this.#out.open;
  }

  get signal(): AbortSignal {
    return this.#detached.signal;
  }

  send(event: OutEvent, bytes?: Uint8Array): void {
    this.#out.send(event, bytes);
    if (finalKinds.includes(event.t)) this.finish();
  }

  fail(fault: RunnerFault): void {
    this.send({ t: 'error', fault });
  }

  /** Puts what was said on the wire before whatever comes next. */
  flush(): void {
    this.#out.flush();
  }

  finish(): void {
    this.#out.close();
    this.#onEnd();
  }

  /** Credit that came before is handed over at once. */
  onCredit(take: (bytes: number) => void): void {
    this.#onCredit = take;
    if (this.#creditBytes > 0) take(this.#creditBytes);
    this.#creditBytes = 0;
  }

  credit(bytes: number): void {
    if (this.#onCredit) this.#onCredit(bytes);
    else this.#creditBytes += bytes;
  }

  detach(): void {
    if (this.#detached.signal.aborted) return;
    this.finish();
    this.#detached.abort(new Error('the reader is gone'));
  }
}

export class Conversations {
  readonly #publisher: Publisher;
  readonly #open = new Map<string, Conversation>();

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  get size(): number {
    return this.#open.size;
  }

  get full(): boolean {
    return this.#open.size >= OPEN_CHANNELS;
  }

  open(reply: ReplyTo): Conversation {
    const conversation: Conversation = new Conversation(
      this.#publisher.open(reply, () => conversation.detach()),
      () => this.#open.delete(reply.channel),
    );
    this.#open.set(reply.channel, conversation);
    return conversation;
  }

  take(header: Extract<InHeader, { t: 'credit' | 'detach' }>): void {
    const conversation = this.#open.get(header.c);
    if (header.t === 'credit') conversation?.credit(header.bytes);
    else conversation?.detach();
  }

  /** The runner stops: all are told that nothing more comes from here. Processes live on, and what is under way may yet be done. */
  detachAll(): void {
    for (const conversation of this.#open.values()) {
      conversation.send(letGo);
      conversation.detach();
    }
  }
}
