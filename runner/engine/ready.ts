import type { AgentSession } from '../agent/session.ts';
import { delay } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { ContainerEngine } from './port.ts';

/** An agent that hasn't dialled in by then won't. */
const readyTimeoutMs = 15_000;
const exitPollMs = 200;

/**
 * Resolves once a container's agent has dialled in. An agent that never does has most likely died, and the engine knows of
 * what: image_unsupported where the image can't run it. Rejects with the signal's reason when aborted.
 */
export async function whenAgentReady(
  session: Pick<AgentSession, 'ready'>,
  container: { engine: Pick<ContainerEngine, 'findExit'>; id: string },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  const ready = session.ready(readyTimeoutMs);
  const dead = whenDead(container, either);
  // Whoever loses the race fails later, and has nothing to tell.
  for (const loser of [ready, dead]) loser.catch(() => undefined);
  try {
    await Promise.race([ready, dead]);
  } finally {
    settled.abort(new Error('settled'));
  }
}

async function whenDead({ engine, id }: Parameters<typeof whenAgentReady>[1], signal: AbortSignal): Promise<never> {
  for (;;) {
    await delay(exitPollMs, signal);
    const exit = await engine.findExit(id);
    if (exit === undefined) continue;
    if (exit.unsupported !== null) throw new RunnerError('image_unsupported', exit.unsupported);
    throw new RunnerError('engine_failed', 'The container ended before its agent was ready.');
  }
}
