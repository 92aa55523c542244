import { createInterface } from 'node:readline';

interface EngineMessage {
  stream?: string;
  status?: string;
  error?: string;
}

/**
 * Reads one of the engine's progress streams (pull, build, import) to its end, giving each line of output.
 * Throws what the engine reports as error, and when it is silent for `silenceMs`.
 */
export async function followEngineStream(
  stream: NodeJS.ReadableStream,
  silenceMs: number,
  onLine: (line: string) => void,
): Promise<void> {
  const abort = () => {
    (stream as NodeJS.ReadableStream & { destroy(error?: Error): void }).destroy(
      new Error(`the Docker engine was silent for ${silenceMs / 1000} s`),
    );
  };
  let watchdog = setTimeout(abort, silenceMs);
  try {
    const failed = new Promise<never>((_resolve, reject) => {
      stream.once('error', reject);
    });
    const read = async () => {
      for await (const line of createInterface({ input: stream })) {
        clearTimeout(watchdog);
        watchdog = setTimeout(abort, silenceMs);
        if (line.trim() === '') continue;
        const message = JSON.parse(line) as EngineMessage;
        if (message.error !== undefined) throw new Error(message.error);
        for (const part of (message.stream ?? message.status ?? '').split('\n')) if (part.trim() !== '') onLine(part);
      }
    };
    await Promise.race([read(), failed]);
  } finally {
    clearTimeout(watchdog);
  }
}
