import { limits } from '../../protocol/limits.ts';
import { AgentFault } from './fault.ts';

/** What is held for a process that does not read. */
const heldBytesMax = 1024 * 1024;

interface Waiting {
  bytes: Uint8Array;
  taken: () => void;
  refused: (fault: AgentFault) => void;
  timer: ReturnType<typeof setTimeout>;
}

const inputClosed = (): AgentFault => new AgentFault('stdin_closed', 'The standard input of the process is closed.');
const notRead = (): AgentFault =>
  new AgentFault(
    'deadline_exceeded',
    'The process does not read its standard input: nothing of this was taken. Send it again once it reads.',
  );

/**
 * The way of bytes to one process, bounded and in order. What does not fit waits, untaken, in the order of its coming, and is given back
 * when the process does not read in time: whoever is told so may send it again.
 */
export class InputQueue {
  #heldBytes = 0;
  #end: (() => void) | undefined;
  #closed = false;
  #waiting: Waiting[] = [];
  readonly #deliver: (bytes: Uint8Array) => void;

  /** `deliver` takes them at once, and says by delivered() when they are with the process. */
  constructor(deliver: (bytes: Uint8Array) => void) {
    this.#deliver = deliver;
  }

  /** Undefined: taken. Else resolves once they are; rejects with stdin_closed or deadline_exceeded, and nothing of them is taken. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#end !== undefined || this.#closed) throw inputClosed();
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#take(bytes);
      return undefined;
    }
    return new Promise((taken, refused) => {
      const timer = setTimeout(() => this.#giveUp(waiting), limits.stdinWaitMs);
      const waiting = { bytes, taken, refused, timer };
      this.#waiting.push(waiting);
    });
  }

  /** Nothing more is accepted; `end` is called once all that came before is on its way or was given back. */
  close(end: () => void): void {
    if (this.#end !== undefined || this.#closed) return;
    this.#end = end;
    this.#goOn();
  }

  /** So many bytes are with the process, or all of them. */
  delivered(bytes = this.#heldBytes): void {
    this.#heldBytes -= bytes;
    this.#goOn();
  }

  /** Nobody reads any more. */
  abandon(): void {
    this.#closed = true;
    for (const { refused, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      refused(inputClosed());
    }
  }

  /** One that is larger than all room there is goes alone. */
  #fits(bytes: Uint8Array): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + bytes.length <= heldBytesMax;
  }

  #take(bytes: Uint8Array): void {
    this.#heldBytes += bytes.length;
    this.#deliver(bytes);
  }

  #goOn(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      clearTimeout(next.timer);
      this.#take(next.bytes);
      next.taken();
    }
    if (this.#waiting.length > 0 || this.#end === undefined || this.#closed) return;
    this.#closed = true;
    this.#end();
  }

  #giveUp(waiting: Waiting): void {
    this.#waiting = this.#waiting.filter((other) => other !== waiting);
    waiting.refused(notRead());
    // A smaller one behind it may fit, and the end may have waited for it only.
    this.#goOn();
  }
}
