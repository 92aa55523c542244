import { limits } from '../../../runner/protocol/limits.ts';
import type { ProcessSelector } from '../../../runner/protocol/process.ts';
import { ServiceError } from '../errors.ts';
import type { Context, SandboxRef } from '../ports.ts';

/** One request's most; more is written by several. */
const requestMaxBytes = 64 * 1024 * 1024;

/**
 * Writes `body` to a process's standard input, in order, in controls of at most inlineBytes, each acknowledged before the next is
 * sent: memory stays flat, and a process that reads slowly slows its writer. A body of up to inlineBytes is one control: taken
 * whole or not at all. Answers the bytes written; an error in the middle says how many were.
 */
export const writeStdin = async (
  ctx: Context,
  ref: SandboxRef,
  process: ProcessSelector,
  body: ReadableStream<Uint8Array> | Uint8Array,
  contentBytes: number | null = null,
): Promise<number> => {
  if (contentBytes !== null && contentBytes > requestMaxBytes) throw tooLarge(0);
  let writtenBytes = 0;
  for await (const piece of piecesOf(body, contentBytes)) {
    if (writtenBytes + piece.length > requestMaxBytes) throw tooLarge(writtenBytes);
    try {
      await ctx.broker.control(ref, process, { op: 'stdin' }, piece);
    } catch (error) {
      throw writtenBytes > 0 && error instanceof ServiceError ? partly(error, writtenBytes) : error;
    }
    writtenBytes += piece.length;
  }
  return writtenBytes;
};

const tooLarge = (writtenBytes: number): ServiceError =>
  new ServiceError(
    'payload_too_large',
    `One request writes at most ${requestMaxBytes} bytes; ${writtenBytes} of this one were written. Send the rest by further requests.`,
  );

const partly = (error: ServiceError, writtenBytes: number): ServiceError =>
  new ServiceError(error.code, `${error.message} The first ${writtenBytes} bytes had been written.`, {
    cause: error,
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
  });

/** What has come so far, at most inlineBytes at once (a default reader would get 4 KiB at a time). */
async function* piecesOf(
  body: ReadableStream<Uint8Array> | Uint8Array,
  contentBytes: number | null,
): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    // At least one, so that it is told that there is no such process.
    for (let at = 0; at === 0 || at < body.length; at += limits.inlineBytes) {
      yield body.subarray(at, at + limits.inlineBytes);
    }
    return;
  }
  if (contentBytes !== null && contentBytes <= limits.inlineBytes) {
    yield new Uint8Array(await new Response(body).arrayBuffer());
    return;
  }
  const reader = body.getReader({ mode: 'byob' });
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(limits.inlineBytes));
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}
