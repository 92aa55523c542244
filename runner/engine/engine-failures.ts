import { RunnerError } from '../protocol/errors.ts';
import { engineMessage, engineStatus } from './docker-client.ts';
import { diagnoseExit } from './exit-diagnosis.ts';

/** What the engine's refusals mean to the runner. */

/** One call to the engine about a container. `harmless`: an answer that says that there was nothing to do. */
export async function act(
  what: string,
  call: () => Promise<unknown>,
  harmless?: (cause: unknown) => boolean,
): Promise<void> {
  try {
    await call();
  } catch (cause) {
    if (harmless?.(cause) === true) return;
    if (cause instanceof RunnerError) throw cause;
    if (engineStatus(cause) === 404) throw new RunnerError('sandbox_not_running', 'The container is gone.', { cause });
    throw new RunnerError('engine_failed', `The container engine failed to ${what} a container.`, { cause });
  }
}

const saying = (words: RegExp) => (cause: unknown) => words.test(engineMessage(cause));
/** The engine hears of a freeze or a thaw a moment after the runtime has done it; asked again in that moment it is the runtime that refuses. */
export const alreadyPaused = saying(/already paused|cannot pause a paused/i);
export const notPaused = saying(/not paused|not running|cannot resume a running/i);
export const alreadyStopped = (cause: unknown) => engineStatus(cause) === 304;

export const didNotAnswer = (cause: unknown): RunnerError =>
  new RunnerError('engine_failed', 'The container engine did not answer.', { cause });

export function createFailure(cause: unknown): RunnerError {
  if (engineStatus(cause) === 409) return new RunnerError('engine_failed', 'The container name is in use.', { cause });
  return new RunnerError('engine_failed', 'The container engine could not create a container.', { cause });
}

export function startFailure(cause: unknown): RunnerError {
  if (cause instanceof RunnerError) return cause;
  const unsupported = diagnoseExit({ exitCode: 0, oomKilled: false, startError: engineMessage(cause) });
  if (unsupported !== null) return new RunnerError('image_unsupported', unsupported, { cause });
  return new RunnerError('engine_failed', 'The container engine could not start a container.', { cause });
}
