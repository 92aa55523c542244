import { errorFromRunner } from './errors.ts';
import type { EventStream, StreamEvent } from './ports.ts';

/**
 * The events, once the first of them has come: so that what is refused at once (no such process, no such directory) fails as a
 * call and not in the middle of an answer. Ends after the event with which a reader is detached.
 */
export const openedEvents = async (events: EventStream): Promise<EventStream> => {
  const reader = events.getReader();
  let next: Promise<ReadableStreamReadResult<StreamEvent>> | undefined = afterAccepted(reader);
  const first = await next;
  if (!first.done && first.value.t === 'error') throw errorFromRunner(first.value.fault);

  return new ReadableStream<StreamEvent>(
    {
      pull: async (controller) => {
        const { done, value } = await (next ?? reader.read());
        next = undefined;
        if (done) return controller.close();
        controller.enqueue(value);
        if (value.t !== 'lagged' || !value.detached) return;
        controller.close();
        await reader.cancel();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
};

const afterAccepted = async (reader: ReadableStreamDefaultReader<StreamEvent>) => {
  const result = await reader.read();
  return !result.done && result.value.t === 'accepted' ? reader.read() : result;
};
