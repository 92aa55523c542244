import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { Meeting } from './meeting.ts';

/**
 * Joins a client's WebSocket to the one that its runner dialled, once, whichever comes first. Both get an end of one pair: messages, closes and
 * back-pressure flow through the runtime and never through JavaScript.
 */
export class Socket extends DurableObject<Env> {
  readonly #meeting = new Meeting({
    refusal: () =>
      Response.json({ error: { code: 'not_found', message: 'There is no such socket.' } }, { status: 404 }),
    join: (first, second) => {
      const { 0: ours, 1: theirs } = new WebSocketPair();
      first.answer(new Response(null, { status: 101, webSocket: theirs }));
      second.answer(new Response(null, { status: 101, webSocket: ours }));
    },
  });

  override async fetch(request: Request): Promise<Response> {
    return this.#meeting.arrive(request);
  }
}
