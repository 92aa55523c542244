/**
 * What of a body that is too large is read and thrown away, so that a client which writes all of it before it reads sees the answer
 * and not a broken connection. Past these it gets the broken connection.
 */
const discardMaxBytes = 64 * 1024 * 1024;
const discardMaxMs = 10_000;

export const discardBody = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> => {
  // A read that waits ends with it, too.
  const late = setTimeout(() => void reader.cancel().catch(() => undefined), discardMaxMs);
  try {
    for (let bytes = 0; bytes < discardMaxBytes;) {
      const { done, value } = await reader.read();
      if (done) return;
      bytes += value.byteLength;
    }
    await reader.cancel();
  } finally {
    clearTimeout(late);
  }
};
