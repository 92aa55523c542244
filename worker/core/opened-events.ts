import { errorFromRunner } from './errors.ts';
import type { EventStream, StreamEvent } from './ports.ts';

/**
 * The events, once the first of them has come: so that what is refused at once (no such process, no such directory) fails as a
 * call and not in the middle of an answer. Ends after the event with which a reader is detached.
 */
export const openedEvents = async (events: EventStream): Promise<EventStream> => {
  let first = await afterAccepted(events);
  if (first?.t === 'error') throw errorFromRunner(first.fault);
  let detached = false;
  return {
    next: async () => {
      if (detached) return undefined;
      const event = first ?? (await events.next());
      first = undefined;
      if (event?.t === 'lagged' && event.detached) {
        detached = true;
        await events.cancel();
      }
      return event;
    },
    cancel: () => events.cancel(),
  };
};

const afterAccepted = async (events: EventStream): Promise<StreamEvent | undefined> => {
  const event = await events.next();
  return event?.t === 'accepted' ? events.next() : event;
};
