import { RunnerError } from '../protocol/errors.ts';
import type { ReadHead, WriteResult } from '../protocol/files.ts';
import { unavailable } from './connection.ts';
import type { ExpectedData } from './data.ts';
import { receive, send } from './data.ts';

/** A write's body comes at its sender's pace; a stalled or cut one ends sooner. */
const writeMs = 24 * 3600 * 1000;
/** From a write's last byte to its answer. */
const commitMs = 60_000;
/** Between a data connection's break and the agent's word about it. */
const refusalMs = 1_000;

/** `ask` sends the request with the token that the data connection will show. */
export async function readOver(
  expected: ExpectedData,
  ask: (token: string) => Promise<ReadHead>,
  signal: AbortSignal,
): Promise<{ head: ReadHead; body: AsyncIterable<Uint8Array> }> {
  const data = expected.expect();
  try {
    const head = await ask(data.token);
    return { head, body: receive(await data.arrival, head.contentBytes, signal) };
  } catch (error) {
    data.cancel();
    void data.arrival.then(({ socket }) => socket.destroy()).catch(() => undefined);
    throw error;
  }
}

export async function writeOver(
  expected: ExpectedData,
  ask: (token: string, timeoutMs: number) => Promise<WriteResult>,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<WriteResult> {
  const data = expected.expect();
  const ended = new AbortController();
  const result = ask(data.token, writeMs);
  result.then(
    () => ended.abort(),
    (error: unknown) => {
      ended.abort(error);
      data.cancel();
    },
  );
  try {
    const accepted = await Promise.race([data.arrival, result.then(() => data.arrival)]);
    await send(accepted, body, AbortSignal.any([signal, ended.signal]));
  } catch (error) {
    data.cancel();
    if (signal.aborted || !isCut(error)) throw error;
    // Why the agent refused says more than that its connection broke, and may come a moment after that.
    return await within(refusalMs, result, error);
  }
  return await within(commitMs, result, unavailable('The sandbox did not answer in time.'));
}

/** Told by the connection, and not by the body's own source. */
const isCut = (error: unknown): boolean => error instanceof RunnerError && error.code === 'transfer_failed';

async function within<T>(timeoutMs: number, result: Promise<T>, late: unknown): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late), timeoutMs);
  try {
    return await Promise.race([result, promise]);
  } finally {
    clearTimeout(timer);
  }
}
