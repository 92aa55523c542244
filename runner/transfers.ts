import { Readable } from 'node:stream';
import { Agent, request, type Dispatcher } from 'undici';
import { RunnerError } from './protocol/errors.ts';
import { limits } from './protocol/limits.ts';

const CONNECT_MS = 10_000;

export interface TransferBounds {
  /** A transfer that moves nothing for this long is cut. */
  stallMs: number;
  /** One connection a transfer; the edge bounds how many there are. */
  connections: number;
}
export const fileTransfers: TransferBounds = { stallMs: 60_000, connections: 256 };
/** Bodies of requests to ports: a server may think for long before it says the next word. */
export const portTransfers: TransferBounds = { stallMs: limits.portIdleMs, connections: 8_192 };

const SEND_BUFFER_BYTES = 512 * 1024;

/** The runner's half of a paired stream: the control plane joins it to the client's request. Either side's cut cuts the other. */
export interface Transfers {
  /** Sends `body`. Rejects unless the control plane has taken all of it. */
  put(
    transferId: string,
    body: AsyncIterable<Uint8Array>,
    contentBytes: number | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  /** Hands the client's bytes to `consume`; they fail, never just end, when they are cut. */
  get<T>(
    transferId: string,
    signal: AbortSignal,
    consume: (body: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  close(): Promise<void>;
}

export function createTransfers(
  controlPlaneUrl: string,
  secret: () => string,
  { stallMs, connections }: TransferBounds = fileTransfers,
): Transfers {
  const dispatcher = new Agent({
    connections,
    connect: { timeout: CONNECT_MS },
    headersTimeout: stallMs,
    bodyTimeout: stallMs,
  });
  const open = (method: 'GET' | 'PUT', transferId: string, rest: Partial<Dispatcher.RequestOptions>) =>
    request(`${controlPlaneUrl}/internal/transfers/${transferId}`, {
      ...rest,
      method,
      dispatcher,
      headers: { authorization: `Bearer ${secret()}`, ...(rest.headers as Record<string, string> | undefined) },
    });
  return {
    put: (transferId, body, contentBytes, signal) =>
      withStallGuard(signal, stallMs, async (guard) => {
        // A known length spares the chunk framing; without one, an aborted request is a chunked body without its last chunk. In
        // both cases the other side can tell a cut from the end.
        const length = contentBytes === undefined ? {} : { 'content-length': String(contentBytes) };
        const headers = { 'content-type': 'application/octet-stream', ...length };
        const answer = await open('PUT', transferId, {
          body: readable(guard.watch(body)),
          headers,
          signal: guard.signal,
        });
        await answer.body.dump();
        refuse(answer.statusCode);
      }),
    get: (transferId, signal, consume) =>
      withStallGuard(signal, stallMs, async (guard) => {
        const answer = await open('GET', transferId, { signal: guard.signal });
        try {
          refuse(answer.statusCode);
          return await consume(guard.watch(answer.body), guard.signal);
        } finally {
          answer.body.destroy();
        }
      }),
    close: () => dispatcher.destroy(),
  };
}

interface StallGuard {
  signal: AbortSignal;
  watch(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
}

async function withStallGuard<T>(
  outer: AbortSignal,
  stallMs: number,
  transfer: (guard: StallGuard) => Promise<T>,
): Promise<T> {
  const stalled = new AbortController();
  const signal = AbortSignal.any([outer, stalled.signal]);
  const timer = setTimeout(() => stalled.abort(new Error(`nothing moved for ${stallMs} ms`)), stallMs);
  const watch = async function* (body: AsyncIterable<Uint8Array>) {
    for await (const chunk of body) {
      timer.refresh();
      yield chunk;
    }
    timer.refresh();
  };
  try {
    return await transfer({ signal, watch });
  } catch (error) {
    throw faultOfTransfer(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Pulled as the connection drains, so that a slow reader holds the sandbox back and nothing piles up here. */
function readable(body: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(body, { objectMode: false, highWaterMark: SEND_BUFFER_BYTES });
}

function refuse(status: number): void {
  if (status < 200 || status >= 300) throw new Error(`the control plane answered ${status}`);
}

/** What the sandbox's side said (file_not_found, no_space) is the reason; anything else is the way that broke. */
function faultOfTransfer(error: unknown): RunnerError {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth++) {
    if (cause instanceof RunnerError) return cause;
  }
  return new RunnerError('transfer_failed', 'The transfer was cut.', { cause: error });
}
