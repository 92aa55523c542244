import { monotonicMs } from '../clock.ts';
import type { Journal } from '../journal.ts';

/** Most commands are over by then, so what the journal costs stays off their way. */
const KEPT_AFTER_MS = 1_000;

/**
 * Has the journal remember a process's deadline for the runner's next life, from the process's first second on; after a crash before that
 * only the agent keeps it.
 */
export class KeptDeadline {
  readonly #journal: Journal;
  readonly #sandboxId: string;
  readonly #processId: string;
  readonly #deadlineMonotonicMs: number;
  readonly #timer: NodeJS.Timeout;
  #kept = false;

  constructor(journal: Journal, sandboxId: string, processId: string, timeoutMs: number) {
    this.#journal = journal;
    this.#sandboxId = sandboxId;
    this.#processId = processId;
    this.#deadlineMonotonicMs = monotonicMs() + timeoutMs;
    this.#timer = setTimeout(() => this.keep(), KEPT_AFTER_MS);
  }

  keep(): void {
    clearTimeout(this.#timer);
    if (this.#kept) return;
    this.#kept = true;
    const row = { processId: this.#processId, deadlineMonotonicMs: this.#deadlineMonotonicMs };
    this.#journal.saveProcess(this.#sandboxId, row);
  }

  /** The process is over. */
  forget(): void {
    clearTimeout(this.#timer);
    if (this.#kept) this.#journal.forgetProcess(this.#sandboxId, this.#processId);
  }
}
