import { byobReaderOf } from './byte-source.ts';

/**
 * workerd's codecs have no back-pressure: they keep whatever a write makes, and 1 byte can make 1,032. So what is written
 * at once is small, and nothing more is written while output waits to be read.
 */
const inflatedPieceBytes = 8 * 1024;
const deflatedPieceBytes = 64 * 1024;
const readBytes = 256 * 1024;
/** For a read that found nothing to be told from one that is about to find something. */
const turnMs = 1;

/** What was to be inflated is no deflate, is cut, or goes on after its end. */
export class CodecError extends Error {}

/** Throws CodecError; what `chunks` throws comes through as it is. */
export const inflated = (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> =>
  through(new DecompressionStream('deflate-raw'), chunks, inflatedPieceBytes);

/** The same of gzip (RFC 1952), of one member. */
export const gunzipped = (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> =>
  through(new DecompressionStream('gzip'), chunks, inflatedPieceBytes);

export const deflated = (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> =>
  through(new CompressionStream('deflate-raw'), chunks, deflatedPieceBytes);

async function* through(
  codec: CompressionStream | DecompressionStream,
  chunks: AsyncIterable<Uint8Array>,
  pieceBytes: number,
): AsyncGenerator<Uint8Array, void> {
  const pieces = piecesOf(chunks, pieceBytes);
  const writer = codec.writable.getWriter();
  const reader = readerOf(codec.readable);
  let allFed = false;
  const feed = async (): Promise<'fed'> => {
    const { done, value } = await pieces.next();
    await (done === true ? writer.close() : writer.write(value)).catch(refuse);
    allFed = done === true;
    return 'fed';
  };
  const read = (): Promise<Read> => awaitedLater(reader.read().catch(refuse));
  let reading = read();
  let feeding: Promise<'fed'> | undefined;
  /** All that was made has been read. */
  let drained = true;
  try {
    for (;;) {
      if (drained && !allFed) feeding ??= awaitedLater(feed());
      const event: Read | 'fed' | 'turn' = await Promise.race([reading, feeding ?? (allFed ? reading : turn())]);
      if (event === 'turn') {
        drained = true;
      } else if (event === 'fed') {
        feeding = undefined;
      } else if (event.bytes === undefined) {
        break;
      } else {
        drained = event.bytes.length < event.askedBytes;
        if (event.bytes.length > 0) yield event.bytes;
        reading = read();
      }
    }
    await feeding;
    if (!allFed && (await pieces.next()).done !== true) throw new CodecError('bytes after the end');
  } finally {
    await Promise.allSettled([pieces.return(), writer.abort(), reader.cancel()]);
  }
}

interface Read {
  /** undefined: the end. */
  bytes: Uint8Array | undefined;
  askedBytes: number;
}

function refuse(cause: unknown): never {
  throw new CodecError('a codec refuses its bytes', { cause });
}

async function* piecesOf(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for await (const chunk of chunks) {
    const { buffer, byteOffset, length } = chunk;
    // Codecs take no shared memory, which nothing here hands out.
    if (!(buffer instanceof ArrayBuffer)) throw new TypeError('shared memory');
    for (let at = 0; at < length; at += bytesMax) {
      yield new Uint8Array(buffer, byteOffset + at, Math.min(bytesMax, length - at));
    }
  }
}

/** Node's codecs have back-pressure of their own, and no byte streams. */
function readerOf(stream: ReadableStream<Uint8Array>): { read(): Promise<Read>; cancel(): Promise<void> } {
  const byob = byobReaderOf(stream);
  if (byob === undefined) {
    const reader = stream.getReader();
    return {
      read: async () => ({ bytes: (await reader.read()).value, askedBytes: Infinity }),
      cancel: () => reader.cancel(),
    };
  }
  return {
    async read() {
      const { done, value } = await byob.read(new Uint8Array(readBytes));
      return { bytes: done ? undefined : value, askedBytes: readBytes };
    },
    cancel: () => byob.cancel(),
  };
}

const turn = (): Promise<'turn'> => new Promise((resolve) => setTimeout(() => resolve('turn'), turnMs));

/** It is awaited, but a failure may come while something else is. */
function awaitedLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
