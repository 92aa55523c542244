/** Bytes that a caller holds, or that come piece by piece. */
export type ByteInput = Uint8Array | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** What one read asks of a byte stream. A default reader would get 4 KiB at a time. */
const readBytesMin = 64 * 1024;
const readBytesMax = 256 * 1024;

/** The input in the pieces in which it comes, none of them empty. A stream that is given up before its end is cancelled, or left as it is. */
export async function* chunksOf(
  input: ByteInput,
  givenUp: 'cancel' | 'leave' = 'cancel',
): AsyncGenerator<Uint8Array, void> {
  if (input instanceof Uint8Array) {
    if (input.length > 0) yield input;
    return;
  }
  if (!('getReader' in input)) {
    for await (const chunk of input) if (chunk.length > 0) yield chunk;
    return;
  }
  const reader = readerOf(input);
  let open = true;
  try {
    for (;;) {
      open = false;
      const chunk = await reader.read();
      if (chunk === undefined) return;
      open = true;
      if (chunk.length > 0) yield chunk;
    }
  } finally {
    // One that has ended or failed has nothing left to cancel.
    if (open && givenUp === 'cancel') await reader.cancel();
    else reader.release();
  }
}

interface Reader {
  read(): Promise<Uint8Array | undefined>;
  cancel(): Promise<void>;
  release(): void;
}

function readerOf(stream: ReadableStream<Uint8Array>): Reader {
  const byob = byobReaderOf(stream);
  if (byob === undefined) {
    const reader = stream.getReader();
    return {
      read: async () => (await reader.read()).value,
      cancel: () => reader.cancel(),
      release: () => reader.releaseLock(),
    };
  }
  let askedBytes = readBytesMin;
  return {
    async read() {
      const { done, value } = await byob.read(new Uint8Array(askedBytes));
      if (done) return undefined;
      // A slow stream fills little of a large buffer, which would be zeroed and thrown away for nothing.
      if (value.length === askedBytes) askedBytes = Math.min(askedBytes * 2, readBytesMax);
      else if (value.length < askedBytes / 4) askedBytes = readBytesMin;
      return value;
    },
    cancel: () => byob.cancel(),
    release: () => byob.releaseLock(),
  };
}

/** undefined: it is no byte stream, and its pieces are as large as whoever made it chose. */
export function byobReaderOf(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: 'byob' });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * A stream that makes a piece when it is asked for one, not before. Not of type 'bytes', where each piece's buffer is
 * taken from its maker.
 */
export function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Pieces smaller than this are worth a copy to save the consumer a turn. */
const smallBytes = 16 * 1024;
const gatheredBytes = 64 * 1024;

/** The same bytes with the small pieces gathered. */
export async function* gathered(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let buffer = new Uint8Array(gatheredBytes);
  let bytes = 0;
  for await (const chunk of chunks) {
    if (bytes > 0 && (chunk.length >= smallBytes || bytes + chunk.length > gatheredBytes)) {
      yield buffer.subarray(0, bytes);
      buffer = new Uint8Array(gatheredBytes);
      bytes = 0;
    }
    if (chunk.length >= smallBytes) {
      yield chunk;
      continue;
    }
    buffer.set(chunk, bytes);
    bytes += chunk.length;
  }
  if (bytes > 0) yield buffer.subarray(0, bytes);
}

const nothing = new Uint8Array(0);

/** A stream as a parser wants it: what has come and is not yet used, and more of it on demand. */
export class ByteSource {
  readonly #chunks: AsyncGenerator<Uint8Array, void>;
  #held: Uint8Array;

  /** `first` is read before the input. */
  constructor(input: ByteInput, first: Uint8Array = nothing) {
    this.#chunks = chunksOf(input);
    this.#held = first;
  }

  get held(): Uint8Array {
    return this.#held;
  }

  /** Adds the input's next piece to what is held. False at its end. */
  async more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (done === true) return false;
    if (this.#held.length === 0) {
      this.#held = value;
      return true;
    }
    const joined = new Uint8Array(this.#held.length + value.length);
    joined.set(this.#held);
    joined.set(value, this.#held.length);
    this.#held = joined;
    return true;
  }

  /** The first bytes of what is held, not copied: no more than `held.length`. */
  take(bytes: number): Uint8Array {
    const taken = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(bytes);
    return taken;
  }

  /** undefined: the input ends before. */
  async exactly(bytes: number): Promise<Uint8Array | undefined> {
    while (this.#held.length < bytes) if (!(await this.more())) return undefined;
    return this.take(bytes);
  }

  /** Some of the next bytes, at least one; undefined at the end. */
  async upTo(bytesMax: number): Promise<Uint8Array | undefined> {
    if (this.#held.length === 0 && !(await this.more())) return undefined;
    return this.take(Math.min(bytesMax, this.#held.length));
  }

  /** Gives up what has not been read. */
  async close(): Promise<void> {
    await this.#chunks.return();
  }
}
