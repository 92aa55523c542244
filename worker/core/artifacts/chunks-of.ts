import type { Content } from '../ports.ts';

/** One read of a body: a default reader of the runtime's own streams would get 4 KiB at a time. */
const readBytes = 256 * 1024;

/** Content piece by piece. A piece is the caller's until it asks for the next one, no longer. Ending early cancels the source. */
export async function* chunksOf(content: Content): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) {
    if (content.byteLength > 0) yield content;
    return;
  }
  if (!(content instanceof ReadableStream)) {
    yield* content;
    return;
  }
  const reader = byteReader(content);
  if (!reader) {
    yield* content;
    return;
  }
  let finished = false;
  try {
    let view = new Uint8Array(readBytes);
    for (;;) {
      const { done, value } = await reader.read(view);
      if (done) break;
      yield value;
      view = new Uint8Array(value.buffer, 0, readBytes);
    }
    finished = true;
  } finally {
    if (!finished) await reader.cancel();
    reader.releaseLock();
  }
}

/** Undefined for a stream that is not one of bytes. */
const byteReader = (body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined => {
  try {
    return body.getReader({ mode: 'byob' });
  } catch (error) {
    if (body.locked) throw error;
    return undefined;
  }
};
