import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { decodeJson, encodeFrame, encodeHeader, frameBounds, frameKind } from '../protocol/agent.ts';
import { RunnerError, runnerFault } from '../protocol/errors.ts';
import type { Accepted } from './listener.ts';
import { AgentViolation, faultError } from './replies.ts';

/** From the request to the data connection's hello. */
const dialMs = 10_000;
/** A transfer in which nothing moves for this long is cut. The client's own pace is not counted: only the agent's. */
const stallMs = 30_000;
/** Received and not yet taken: then the socket is not read. */
const heldBytesMax = 1024 * 1024;
const transfersMax = 256;

export const cutFault = (cause?: unknown): RunnerError =>
  new RunnerError('transfer_failed', 'The bytes could not be transferred whole.', { cause });

/** Data connections that were asked for, by the token that their hello must show. */
export class ExpectedData {
  readonly #expected = new Map<string, { resolve(accepted: Accepted): void; reject(error: RunnerError): void }>();

  expect(): { token: string; arrival: Promise<Accepted>; cancel(): void } {
    if (this.#expected.size >= transfersMax) throw cutFault(new Error('too many transfers'));
    const token = randomBytes(16).toString('hex');
    const { promise, resolve, reject } = Promise.withResolvers<Accepted>();
    // Whoever cancels has its own error to tell.
    promise.catch(() => undefined);
    const cancel = (): void => {
      clearTimeout(timer);
      if (this.#expected.delete(token)) reject(cutFault());
    };
    const timer = setTimeout(cancel, dialMs);
    this.#expected.set(token, {
      resolve: (accepted) => {
        clearTimeout(timer);
        resolve(accepted);
      },
      reject,
    });
    return { token, arrival: promise, cancel };
  }

  /** Whether it was expected. A token works once. */
  arrived(token: string, accepted: Accepted): boolean {
    const expected = this.#expected.get(token);
    if (expected === undefined) return false;
    this.#expected.delete(token);
    expected.resolve(accepted);
    return true;
  }

  failAll(error: RunnerError): void {
    for (const expected of this.#expected.values()) expected.reject(error);
    this.#expected.clear();
  }
}

/** What the agent sends on a data connection, to its end. Throws when it breaks off; stops the agent when the taker stops. */
export function receive(
  accepted: Accepted,
  contentBytes: number | undefined,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  // Made now and not at the first read: the signal counts from here on.
  return bytesOf(new Inbox(accepted, signal), accepted.socket, contentBytes);
}

async function* bytesOf(inbox: Inbox, socket: Socket, contentBytes: number | undefined): AsyncGenerator<Uint8Array> {
  let received = 0;
  try {
    for (;;) {
      const frame = await inbox.next();
      if (frame.kind === frameKind.end) {
        if (contentBytes !== undefined && received !== contentBytes) throw cutFault(new Error('fewer bytes than told'));
        return;
      }
      if (frame.kind === frameKind.fault) throw faultOf(frame.payload);
      if (frame.kind !== frameKind.chunk) throw cutFault(new AgentViolation('an unknown frame'));
      received += frame.payload.length;
      if (contentBytes !== undefined && received > contentBytes)
        throw cutFault(new AgentViolation('more bytes than told'));
      if (frame.payload.length > 0) yield frame.payload;
    }
  } finally {
    socket.destroy();
  }
}

function faultOf(payload: Uint8Array): RunnerError {
  const fault = runnerFault.safeParse(decodeJson(payload));
  return fault.success ? faultError(fault.data) : cutFault();
}

/** The frames of a data connection, with a bound on what is held. */
class Inbox {
  #frames: { kind: number; payload: Uint8Array }[] = [];
  #heldBytes = 0;
  #failed: Error | undefined;
  #wake: () => void = () => undefined;
  readonly #socket: Socket;

  constructor(accepted: Accepted, signal: AbortSignal) {
    this.#socket = accepted.socket;
    const fail = (error: Error): void => {
      this.#failed ??= error;
      this.#wake();
    };
    const abort = (): void => {
      fail(cutFault(signal.reason));
      this.#socket.destroy();
    };
    const take = (frames: Iterable<{ kind: number; payload: Uint8Array }>): void => {
      try {
        for (const frame of frames) {
          this.#frames.push(frame);
          this.#heldBytes += frame.payload.length + 64;
        }
        if (this.#heldBytes > heldBytesMax) this.#socket.pause();
        this.#wake();
      } catch (error) {
        fail(cutFault(error));
        this.#socket.destroy();
      }
    };
    take(accepted.rest);
    this.#socket.on('data', (chunk: Buffer) => take(accepted.frames.push(chunk)));
    if (this.#heldBytes <= heldBytesMax) this.#socket.resume();
    this.#socket.once('close', () => {
      signal.removeEventListener('abort', abort);
      fail(cutFault(new Error('the connection was closed')));
    });
    if (this.#socket.destroyed) fail(cutFault());
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  }

  async next(): Promise<{ kind: number; payload: Uint8Array }> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        this.#heldBytes -= frame.payload.length + 64;
        if (this.#heldBytes < heldBytesMax / 2 && this.#socket.isPaused()) this.#socket.resume();
        return frame;
      }
      if (this.#failed !== undefined) throw this.#failed;
      await this.#arrival();
    }
  }

  #arrival(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(cutFault(new Error('the agent sent nothing'))), stallMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => undefined;
        resolve();
      };
    });
  }
}

/** Sends `body` to the agent, then its end. Rejects if the agent goes, stalls, or `signal` aborts. */
export async function send(accepted: Accepted, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const { socket } = accepted;
  const abort = (): void => void socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  // The agent says nothing here; what it says by the control connection counts.
  socket.resume();
  try {
    for await (const bytes of body) {
      for (let at = 0; at < bytes.length; at += frameBounds.chunkBytes) {
        const chunk = bytes.subarray(at, at + frameBounds.chunkBytes);
        socket.cork();
        socket.write(encodeHeader(frameKind.chunk, chunk.length));
        const more = socket.write(chunk);
        socket.uncork();
        if (socket.destroyed) throw cutFault(signal.reason);
        if (!more) await drained(socket);
      }
    }
    if (signal.aborted) throw cutFault(signal.reason);
    socket.write(encodeFrame(frameKind.end, new Uint8Array()));
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      socket.off('drain', onDrain);
      socket.off('close', onClose);
      settle();
    };
    const onDrain = (): void => finish(resolve);
    const onClose = (): void => finish(() => reject(cutFault()));
    const timer = setTimeout(() => finish(() => reject(cutFault(new Error('the agent took nothing')))), stallMs);
    socket.once('drain', onDrain);
    socket.once('close', onClose);
    if (socket.destroyed) onClose();
  });
}
