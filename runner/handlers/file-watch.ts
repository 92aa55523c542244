import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { AGENT_ANSWER_MS } from '../sandboxes/running-process.ts';
import type { ExecHandler } from './handler.ts';
import { agentSilent } from './process-start.ts';
import { WatchBacklog } from './watch-backlog.ts';

/** Runs until the reader detaches. What is far beyond its credit is dropped and counted: file events are hints, not a log. */
export const watchFiles: ExecHandler<'file.watch'> = async (_context, job, sandbox, conversation) => {
  if (sandbox.watches >= limits.watchesPerSandbox) {
    throw new RunnerError('too_many_watches', `A sandbox has at most ${limits.watchesPerSandbox} watches.`);
  }
  const backlog = new WatchBacklog(job.creditBytes, (events, droppedEvents) =>
    conversation.send({ t: 'watch', events, droppedEvents }),
  );
  sandbox.watches++;
  try {
    const watch = await within(
      sandbox.home.session.watch(job.watch, (events, dropped) => backlog.push(events, dropped)),
      AGENT_ANSWER_MS,
      agentSilent,
    );
    conversation.onCredit((bytes) => backlog.grant(bytes));
    // What the caller waits for before it changes files: the watch is in place.
    conversation.send({ t: 'watch', events: [], droppedEvents: 0 });
    await detached(conversation.signal);
    watch.close();
  } finally {
    sandbox.watches--;
  }
};

/** Its end is the reader's to choose; the sandbox's end closes the session, and the edge ends the channel. */
function detached(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
