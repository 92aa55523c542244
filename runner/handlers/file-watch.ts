import type { AgentSession } from '../agent/session.ts';
import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { AGENT_ANSWER_MS } from '../sandboxes/running-process.ts';
import type { ExecHandler } from './handler.ts';
import { agentSilent } from './process-start.ts';
import { WatchBacklog } from './watch-backlog.ts';

type Watch = Awaited<ReturnType<AgentSession['watch']>>;

/** Runs until the reader detaches. What is far beyond its credit is dropped and counted: file events are hints, not a log. */
export const watchFiles: ExecHandler<'file.watch'> = async (_context, job, sandbox, conversation) => {
  if (sandbox.watches >= limits.watchesPerSandbox) {
    throw new RunnerError('too_many_watches', `A sandbox has at most ${limits.watchesPerSandbox} watches.`);
  }
  const backlog = new WatchBacklog(job.creditBytes, (events, droppedEvents) =>
    conversation.send({ t: 'watch', events, droppedEvents }),
  );
  sandbox.watches++;
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined); // also where nobody waits for it yet, or any more
  try {
    const sink = { events: backlog.push.bind(backlog), lost: lost.reject };
    const watch = await opened(sandbox.home.session.watch(job.watch, sink));
    conversation.onCredit((bytes) => backlog.grant(bytes));
    // What the caller waits for before it changes files: the watch is in place.
    conversation.send({ t: 'watch', events: [], droppedEvents: 0 });
    await Promise.race([detached(conversation.signal), lost.promise]);
    watch.close();
  } finally {
    sandbox.watches--;
  }
};

/** One that opens after its caller has been told that it can't be had is closed again. */
async function opened(opening: Promise<Watch>): Promise<Watch> {
  try {
    return await within(opening, AGENT_ANSWER_MS, agentSilent);
  } catch (error) {
    opening.then((watch) => watch.close()).catch(() => undefined);
    throw error;
  }
}

/** Its end is the reader's to choose; the sandbox's end closes the session, and the edge ends the channel. */
function detached(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
