import type { Feed } from '../core/feed.ts';

/** workerd learns only by writing that a client has gone; also shorter than what proxies cut idle connections after. */
export const keepAliveMs = 5_000;
const encoder = new TextEncoder();
const keepAlive = encoder.encode(': keep-alive\n\n');

/** One server-sent event (WHATWG HTML, section 9.2). JSON has no raw line breaks, so `data` is always one line. */
export const sseEvent = (name: string, data: unknown, id?: number): string =>
  `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

/** How items become text. `failed` is the last event of a source that throws. */
export interface SseRenderer<T> {
  /** Sent at once. */
  opening: string;
  render(item: T): string;
  failed(error: unknown): string;
}

/**
 * Answers with a stream of events, read as fast as the client reads. Each item is sent when it comes; a client that goes away
 * cancels the source.
 */
export const sseResponse = <T>(source: Feed<T>, renderer: SseRenderer<T>): Response => {
  let timer: ReturnType<typeof setInterval> | undefined;
  const send = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    for (;;) {
      const item = await source.next();
      if (item === undefined) {
        clearInterval(timer);
        return controller.close();
      }
      const text = renderer.render(item);
      if (text !== '') return controller.enqueue(encoder.encode(text));
    }
  };
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      if (renderer.opening !== '') controller.enqueue(encoder.encode(renderer.opening));
      timer = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(keepAlive);
      }, keepAliveMs);
    },
    pull: async (controller) => {
      try {
        await send(controller);
      } catch (error) {
        clearInterval(timer);
        controller.enqueue(encoder.encode(renderer.failed(error)));
        controller.close();
      }
    },
    cancel: () => {
      clearInterval(timer);
      return source.cancel();
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // nginx and its kin hold answers back otherwise.
      'x-accel-buffering': 'no',
    },
  });
};

/** Of an Accept header: whether events are asked for. */
export const wantsEvents = (accept: string | undefined): boolean =>
  accept !== undefined && /(^|,)\s*text\/event-stream\s*(;|,|$)/i.test(accept);
