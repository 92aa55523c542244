import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';

/** A kill waits this long for what it has aborted to clear away; then it goes ahead. */
const SUPERSEDED_WAIT_MS = 5_000;

interface Turn {
  key: string;
  kill: boolean;
  abort: AbortController;
  done: Promise<unknown>;
}

/**
 * Lifecycle jobs of one sandbox, one after the other. A repeat of one that is waiting or running joins it. A kill aborts all
 * that is before it: it never waits for a create to finish. Anything else gives up rather than begin beside what goes on.
 */
export class Lanes {
  readonly #lanes = new Map<string, Turn[]>();

  /** `key` recognises a repeat: the same (epoch, revision). */
  run<T>(
    sandboxId: string,
    turn: { key: string; kill: boolean; limitMs: number },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const lane = this.#lanes.get(sandboxId) ?? [];
    const repeated = lane.find((other) => other.key === turn.key);
    if (repeated) return repeated.done as Promise<T>; // the same job, so the same kind of outcome
    if (turn.kill) for (const other of lane) if (!other.kill) other.abort.abort(superseded());
    // All of them: the last one may have given up its own wait while the first goes on.
    const before = lane.length === 0 ? undefined : Promise.allSettled(lane.map((other) => other.done));
    const abort = new AbortController();
    const done = this.#take(before, turn, abort, work);
    const entry: Turn = { key: turn.key, kill: turn.kill, abort, done };
    lane.push(entry);
    this.#lanes.set(sandboxId, lane);
    const leave = () => this.#leave(sandboxId, entry);
    done.then(leave, leave);
    return done;
  }

  /** Whether a job of this sandbox is under way, or waits. */
  isBusy(sandboxId: string): boolean {
    return this.#lanes.has(sandboxId);
  }

  /** All that is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#lanes.values()].flat().map((turn) => turn.done));
  }

  async #take<T>(
    before: Promise<unknown> | undefined,
    turn: { kill: boolean; limitMs: number },
    abort: AbortController,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (before && turn.kill) await within(before, SUPERSEDED_WAIT_MS, tooLong).catch(() => undefined); // then it goes ahead
    else if (before) await within(before, turn.limitMs, tooLong);
    abort.signal.throwIfAborted();
    const limit = setTimeout(() => abort.abort(tooLong()), turn.limitMs);
    try {
      return await work(abort.signal);
    } finally {
      clearTimeout(limit);
    }
  }

  #leave(sandboxId: string, entry: Turn): void {
    const lane = this.#lanes.get(sandboxId)?.filter((turn) => turn !== entry) ?? [];
    if (lane.length === 0) this.#lanes.delete(sandboxId);
    else this.#lanes.set(sandboxId, lane);
  }
}

const superseded = () => new RunnerError('stale_revision', 'A kill has overtaken this.');
const tooLong = () => new RunnerError('deadline_exceeded', 'The node did not finish this in time.');
