import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { Meeting, type Party } from './meeting.ts';

/** How long after the last byte its sender may take to say that it was the last. */
const VOUCH_MS = 10_000;

/** Carries the length of a PUT's content, where it is known: so that what arrives cut is an error and not an end. */
export const CONTENT_BYTES = 'x-content-bytes';

/**
 * Joins one PUT's body to one GET's response: a client's and a runner's, whichever comes first, once. Bytes flow through the runtime's
 * own streams and never through JavaScript. A cut of either aborts the other; neither just ends.
 */
export class Transfer extends DurableObject<Env> {
  readonly #meeting = new Meeting({
    refusal,
    fit: (first, second) => first.request.method !== second.request.method,
    join: (first, second) => {
      const [source, sink] = first.request.method === 'PUT' ? [first, second] : [second, first];
      this.#join(source, sink);
    },
  });
  readonly #vouched = Promise.withResolvers<void>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    // It may be settled before anyone waits for it.
    this.#vouched.promise.catch(() => undefined);
  }

  override async fetch(request: Request): Promise<Response> {
    const { method } = request;
    return method === 'POST' || method === 'DELETE' ? this.#judgeEnd(method === 'POST') : this.#meeting.arrive(request);
  }

  #judgeEnd(whole: boolean): Response {
    if (whole) this.#vouched.resolve();
    else this.#vouched.reject(new Error('the source was cut'));
    return new Response(null, { status: 204 });
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

const refusal = (): Response =>
  Response.json({ error: { code: 'not_found', message: 'There is no such transfer.' } }, { status: 404 });
