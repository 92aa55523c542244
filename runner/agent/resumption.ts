import { RunnerError } from '../protocol/errors.ts';
import { resumedAtOnce } from './pending.ts';

/** The agent's answer to each, and all of them together: who has not been taken up by then is told so. */
const answerMs = 10_000;
const allMs = 30_000;

/** What outlives a control connection: a reader, a watch. */
export interface Resumable {
  /** Asks for it on the new connection; nothing where nobody wants it any more. Called in its turn, and only then are the facts read. */
  again(timeoutMs: number): Promise<void>;
  /** It could not be taken up again. */
  lost(error: unknown): void;
}

/**
 * Takes up all of them, in order, a few at once: their number is bounded by how much is read, and the agent is not to be flooded. The first
 * few are asked for before this returns. Never rejects; ends early once `current` says that there is a newer connection.
 */
export async function resumeInTurn(all: readonly Resumable[], current: () => boolean): Promise<void> {
  const until = performance.now() + allMs;
  const rest = all.values();
  const takeTurns = async (): Promise<void> => {
    for (const one of rest) {
      try {
        const leftMs = until - performance.now();
        if (leftMs <= 0) throw new RunnerError('agent_unavailable', 'The sandbox did not answer in time.');
        await one.again(Math.min(answerMs, leftMs));
      } catch (error) {
        if (current()) one.lost(error);
      }
      if (!current()) return;
    }
  };
  await Promise.all(Array.from({ length: Math.min(resumedAtOnce, all.length) }, takeTurns));
}
