export interface Gathered {
  chunks: Uint8Array[];
  bytes: number;
  /** That was all. Else `rest` goes on from the first byte. */
  whole: boolean;
  rest(): AsyncGenerator<Uint8Array>;
}

/** Reads on for `withinMs`, or until there are more than `maxBytes`. Throws what `body` throws. */
export async function gather(body: AsyncIterable<Uint8Array>, maxBytes: number, withinMs: number): Promise<Gathered> {
  const iterator = body[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let next: Promise<IteratorResult<Uint8Array>> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), withinMs);
  });
  const rest = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks.splice(0);
      for (;;) {
        const { done, value } = await (next ?? iterator.next());
        next = undefined;
        if (done === true) return;
        yield value;
      }
    } finally {
      await iterator.return?.();
    }
  };
  try {
    while (bytes <= maxBytes) {
      next = iterator.next();
      const result = await Promise.race([next, late]);
      if (result === 'late') {
        // Whoever reads on is told of its failure.
        next.catch(() => undefined);
        return { chunks, bytes, whole: false, rest };
      }
      next = undefined;
      if (result.done === true) return { chunks, bytes, whole: true, rest };
      chunks.push(result.value);
      bytes += result.value.byteLength;
    }
    return { chunks, bytes, whole: false, rest };
  } finally {
    clearTimeout(timer);
  }
}
