import { ServiceError } from '../errors.ts';

/** So many bytes, or the end, within such a time. */
export interface Pace {
  bytes: number;
  withinMs: number;
}

/**
 * A client's bytes as they come, at `pace` at least: the time that is waited for them counts, not what their reader does with them. Throws
 * invalid_argument for those that come slower, and for a read that fails.
 */
export async function* steady(chunks: AsyncGenerator<Uint8Array, void>, pace: Pace): AsyncGenerator<Uint8Array, void> {
  let waitedMs = 0;
  let bytes = 0;
  let ended = false;
  try {
    for (;;) {
      const startedAtMs = Date.now();
      const next = await before(chunks.next(), pace.withinMs - waitedMs, pace);
      if (next.done === true) {
        ended = true;
        return;
      }
      waitedMs += Date.now() - startedAtMs;
      bytes += next.value.byteLength;
      if (bytes >= pace.bytes) bytes = waitedMs = 0;
      yield next.value;
    }
  } catch (error) {
    ended = true;
    throw error;
  } finally {
    // Given up by its reader.
    if (!ended) await chunks.return();
  }
}

const before = async <T>(read: Promise<T>, timeoutMs: number, pace: Pace): Promise<T> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(stoodStill(pace)), timeoutMs);
  });
  try {
    return await Promise.race([read, late]);
  } catch (error) {
    throw error instanceof ServiceError
      ? error
      : new ServiceError('invalid_argument', 'The body was cut before its end.', { cause: error });
  } finally {
    clearTimeout(timer);
  }
};

const stoodStill = ({ bytes, withinMs }: Pace): ServiceError =>
  new ServiceError('invalid_argument', `The body stood still: less than ${bytes} bytes came in ${withinMs / 1000} s.`);
