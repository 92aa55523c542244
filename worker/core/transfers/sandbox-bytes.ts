import { ServiceError } from '../errors.ts';
import { chunksOf } from '../formats/byte-source.ts';
import type { Context } from '../ports.ts';
import { publicStateOf } from '../sandbox-state.ts';
import { getSandbox } from '../sandboxes/get-sandbox.ts';

/** The reading of a body broke: whoever catches this knows that nothing else was wrong. */
class BodyCut extends Error {}

/**
 * A sandbox's bytes on their way to a store. That they were cut, or are not as many as was said (null: not known), is told apart from
 * everything else that can go wrong: see explained.
 */
export class SandboxBytes implements AsyncIterable<Uint8Array> {
  readonly #body: ReadableStream<Uint8Array>;
  readonly #contentBytes: number | null;
  #begun = false;
  /** The body has come to its end, which its reader may not have expected. */
  ended = false;

  constructor(body: ReadableStream<Uint8Array>, contentBytes: number | null) {
    this.#body = body;
    this.#contentBytes = contentBytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    this.#begun = true;
    let seenBytes = 0;
    try {
      for await (const chunk of chunksOf(this.#body)) {
        seenBytes += chunk.byteLength;
        yield chunk;
      }
    } catch (error) {
      throw new BodyCut('the body failed', { cause: error });
    }
    if (this.#contentBytes !== null && seenBytes !== this.#contentBytes) {
      throw new BodyCut(`${seenBytes} bytes came where ${this.#contentBytes} were said to`);
    }
    this.ended = true;
  }

  /** Of what was refused before it was read: the runner must not wait for a reader. */
  async giveUp(): Promise<void> {
    if (!this.#begun) await this.#body.cancel();
  }
}

const isCut = (error: unknown): boolean => {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth += 1) {
    if (cause instanceof BodyCut) return true;
  }
  return false;
};

/** What to tell of an error that ended the copying of a sandbox's bytes; `cut`: they are known to have been cut. */
export const explained = async (
  ctx: Context,
  sandboxId: string,
  error: unknown,
  cut = isCut(error),
): Promise<unknown> => {
  if (!cut) return error;
  const state = publicStateOf(await getSandbox(ctx, sandboxId));
  if (state === 'ended' || state === 'ending') {
    return new ServiceError('sandbox_ended', 'The sandbox ended while its bytes were copied; nothing has changed.', {
      cause: error,
    });
  }
  const sentence = 'The bytes could not be read whole from the sandbox: they may have changed meanwhile. Try again.';
  return new ServiceError('transfer_failed', sentence, { cause: error });
};
