import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { watchEventCredit, type WatchEvent } from '../protocol/files.ts';
import { limits } from '../protocol/limits.ts';
import { AGENT_ANSWER_MS } from '../sandboxes/running-process.ts';
import type { ExecHandler } from './handler.ts';
import { agentSilent } from './process-start.ts';

/** With less than this left nothing can be told. */
const CREDIT_MIN_BYTES = 32;
/** One entry of the stream carries at most so many. */
const EVENTS_PER_ENTRY = 256;

/** Runs until the reader detaches. What it has no credit for is dropped and counted: file events are hints, not a log. */
export const watchFiles: ExecHandler<'file.watch'> = async (_context, job, sandbox, conversation) => {
  if (sandbox.watches >= limits.watchesPerSandbox) {
    throw new RunnerError('too_many_watches', `A sandbox has at most ${limits.watchesPerSandbox} watches.`);
  }
  let creditBytes = job.creditBytes;
  let dropped = 0;
  const say = (events: WatchEvent[], droppedEvents: number) => {
    const affordable: WatchEvent[] = [];
    for (const event of events) {
      const costBytes = watchEventCredit(event);
      if (costBytes > creditBytes) {
        dropped++;
        continue;
      }
      creditBytes -= costBytes;
      affordable.push(event);
    }
    dropped += droppedEvents;
    if (affordable.length === 0 && creditBytes < CREDIT_MIN_BYTES) return; // told with the next that fits
    for (let start = 0; start < Math.max(1, affordable.length); start += EVENTS_PER_ENTRY) {
      const part = affordable.slice(start, start + EVENTS_PER_ENTRY);
      conversation.send({ t: 'watch', events: part, droppedEvents: dropped });
      dropped = 0;
    }
  };
  sandbox.watches++;
  try {
    const watch = await within(sandbox.home.session.watch(job.watch, say), AGENT_ANSWER_MS, agentSilent);
    conversation.onCredit((bytes) => {
      creditBytes += bytes;
      if (dropped > 0) say([], 0);
    });
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
