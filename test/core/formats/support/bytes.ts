/** A byte stream, as a request's body is one, that gives its pieces one at a time. */
export function byteStream(pieces: Iterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = notEmpty(pieces);
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const { done, value } = iterator.next();
      if (done === true) {
        controller.close();
        controller.byobRequest?.respond(0);
      } else controller.enqueue(Uint8Array.from(value));
    },
  });
}

function* notEmpty(pieces: Iterable<Uint8Array>): Generator<Uint8Array, void> {
  for (const piece of pieces) if (piece.length > 0) yield piece;
}

/** `bytes` cut at these places, in whatever order they come. */
export function split(bytes: Uint8Array, at: number[]): Uint8Array[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(Uint8Array.from(chunk));
  return Buffer.concat(all);
}
