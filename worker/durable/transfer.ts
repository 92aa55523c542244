import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';

/** How long the first to come waits for the other. */
const MEETING_MS = 10_000;
/** How long after the last byte its sender may take to say that it was the last. */
const VOUCH_MS = 10_000;
const addresses = /^\/(client|runner)\/([0-9a-f]{16})$/;

/** Carries the length of a PUT's content, where it is known: so that what arrives cut is an error and not an end. */
export const CONTENT_BYTES = 'x-content-bytes';

interface Party {
  side: string;
  /** Whom the client was given as the other side; of a runner, who it is. */
  runnerId: string;
  request: Request;
  answer(response: Response): void;
}

/**
 * Joins one PUT's body to one GET's response: a client's and a runner's, whichever comes first, once. Bytes flow through the runtime's
 * own streams and never through JavaScript. A cut of either aborts the other; neither just ends.
 */
export class Transfer extends DurableObject<Env> {
  #waiting: Party | undefined;
  #met = false;
  readonly #vouched = Promise.withResolvers<void>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    // It may be settled before anyone waits for it.
    this.#vouched.promise.catch(() => undefined);
  }

  override async fetch(request: Request): Promise<Response> {
    const [, side, runnerId] = addresses.exec(new URL(request.url).pathname) ?? [];
    if (side === undefined || runnerId === undefined) return refusal();
    if (request.method === 'POST' || request.method === 'DELETE') return this.#judgeEnd(request.method === 'POST');
    if (this.#met) return refusal();
    const { promise, resolve } = Promise.withResolvers<Response>();
    const party: Party = { side, runnerId, request, answer: resolve };
    const other = this.#waiting;
    if (!other) return this.#wait(party, promise);
    const belongs = other.side !== side && other.runnerId === runnerId && other.request.method !== request.method;
    if (!belongs) return refusal();
    this.#met = true;
    this.#waiting = undefined;
    const [source, sink] = request.method === 'PUT' ? [party, other] : [other, party];
    this.#join(source, sink);
    return promise;
  }

  #judgeEnd(whole: boolean): Response {
    if (whole) this.#vouched.resolve();
    else this.#vouched.reject(new Error('the source was cut'));
    return new Response(null, { status: 204 });
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

  #join(source: Party, sink: Party): void {
    const length = source.request.headers.get(CONTENT_BYTES);
    const { readable, writable } =
      length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
    sink.answer(new Response(readable, { headers: { 'content-type': 'application/octet-stream' } }));
    const body = source.request.body ?? new Blob([]).stream();
    const piped = length === null ? this.#pipeVouched(body, writable) : body.pipeTo(writable);
    piped.then(
      () => source.answer(new Response(null, { status: 204 })),
      // The sink's response was aborted with the pipe; the source is told, if it is there to hear it.
      () => source.answer(new Response(null, { status: 502 })),
    );
  }

  /** Ends the sink only when the source's end is known to be one. */
  async #pipeVouched(body: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): Promise<void> {
    await body.pipeTo(writable, { preventClose: true });
    const timer = setTimeout(() => this.#vouched.reject(new Error('the end was not vouched for')), VOUCH_MS);
    try {
      await this.#vouched.promise;
    } catch (error) {
      await writable.abort(error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
    await writable.close();
  }
}

/** Also for the wrong side or runner: an id says nothing to whom it was not given. */
const refusal = (): Response =>
  Response.json({ error: { code: 'not_found', message: 'There is no such transfer.' } }, { status: 404 });
