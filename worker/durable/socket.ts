import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';

/** How long the first to come waits for the other. */
const MEETING_MS = 10_000;
const addresses = /^\/(client|runner)\/([0-9a-f]{16})$/;

interface Party {
  side: string;
  runnerId: string;
  answer(response: Response): void;
}

/**
 * Joins a client's WebSocket to the one that its runner dialled, once, whichever comes first. Both get an end of one pair: messages, closes and
 * back-pressure flow through the runtime and never through JavaScript.
 */
export class Socket extends DurableObject<Env> {
  #waiting: Party | undefined;
  #met = false;

  override async fetch(request: Request): Promise<Response> {
    const [, side, runnerId] = addresses.exec(new URL(request.url).pathname) ?? [];
    if (side === undefined || runnerId === undefined || this.#met) return refusal();
    const { promise, resolve } = Promise.withResolvers<Response>();
    const other = this.#waiting;
    if (!other) return this.#wait({ side, runnerId, answer: resolve }, promise);
    if (other.side === side || other.runnerId !== runnerId) return refusal();
    this.#met = true;
    this.#waiting = undefined;
    const { 0: ours, 1: theirs } = new WebSocketPair();
    other.answer(new Response(null, { status: 101, webSocket: theirs }));
    return new Response(null, { status: 101, webSocket: ours });
  }

  async #wait(party: Party, met: Promise<Response>): Promise<Response> {
    this.#waiting = party;
    const timer = setTimeout(() => {
      if (this.#waiting !== party) return;
      this.#met = true;
      this.#waiting = undefined;
      party.answer(refusal());
    }, MEETING_MS);
    try {
      return await met;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Also for the wrong side or runner: an id says nothing to whom it was not given. */
const refusal = (): Response =>
  Response.json({ error: { code: 'not_found', message: 'There is no such socket.' } }, { status: 404 });
