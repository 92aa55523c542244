import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { IncomingMessage } from 'node:http';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { PortHeaders, PortRequest } from '../protocol/ports.ts';

const HANDSHAKE_MS = 30_000;
/** The control plane answers a ping at once; without one for two of these its side is gone. */
const PING_MS = 30_000;
/** So long one side may take for what it was sent when the other is gone without a close. */
const LAST_MESSAGES_MS = 5_000;
/** Written to one side and not yet taken: then the other is not read. */
const HELD_BYTES = 512 * 1024;

const bounds = {
  maxPayload: limits.socketMessageBytes,
  maxHeaderSize: limits.portHeadBytes,
  perMessageDeflate: false,
  followRedirects: false,
  // It would answer each ping whether the answers are read or not: see answerPings.
  autoPong: false,
} as const;

/** The runner's end of the client's WebSocket: the control plane joins the two. */
export interface PortSockets {
  dial(socketId: string, signal: AbortSignal): Promise<WebSocket>;
}

export function createPortSockets(controlPlaneUrl: string, secret: () => string): PortSockets {
  const base = controlPlaneUrl.replace(/^http/, 'ws');
  return {
    dial: async (socketId, signal) => {
      const authorization = `Bearer ${secret()}`;
      const socket = new WebSocket(`${base}/internal/sockets/${socketId}`, { ...bounds, headers: { authorization } });
      answerPings(socket);
      // What comes before anyone listens waits in the connection.
      socket.once('open', () => socket.pause());
      const opened = await handshake(socket, signal);
      if (opened.kind === 'open') return socket;
      opened.response.destroy();
      throw new RunnerError('transfer_failed', 'The caller of the WebSocket is gone.');
    },
  };
}

export type Handshake = { kind: 'open' } | { kind: 'refused'; response: IncomingMessage };

/** Asks the server inside for a WebSocket. Nothing of it is read before resume(). */
export function askForSocket(connection: Duplex, request: PortRequest, protocols: readonly string[]): WebSocket {
  const socket = new WebSocket(`ws://sandbox${request.target}`, [...protocols], {
    ...bounds,
    createConnection: () => connection,
    headers: headersOf(request.headers),
  });
  answerPings(socket);
  socket.once('open', () => socket.pause());
  return socket;
}

/** Whether it was granted; rejects with port_failed where the answer is none. */
export function handshake(socket: WebSocket, signal: AbortSignal): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    const abort = (): void => socket.terminate();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('open', () => {
      clearTimeout(timer);
      resolve({ kind: 'open' });
    });
    socket.once('unexpected-response', (_request, response) => {
      clearTimeout(timer);
      resolve({ kind: 'refused', response });
    });
    const timer = setTimeout(abort, HANDSHAKE_MS);
    const failed = (cause: Error): void =>
      reject(new RunnerError('port_failed', 'The server in the sandbox did not answer as a WebSocket.', { cause }));
    // Stays: what goes wrong later is told by its close.
    socket.on('error', failed);
    socket.once('close', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      failed(new Error('closed'));
    });
    if (signal.aborted) abort();
  });
}

/** A server that pings without end and reads no answer gets none after the first HELD_BYTES, or they would fill our memory. */
function answerPings(socket: WebSocket): void {
  socket.on('ping', (data) => {
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < HELD_BYTES) socket.pong(data);
  });
}

function headersOf(headers: PortHeaders): Record<string, string | string[]> {
  const joined: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const before = joined[name];
    joined[name] = before === undefined ? value : [before, value].flat();
  }
  return joined;
}

/** Joins two that are open and paused, until both are closed. */
export async function joinSockets(inner: WebSocket, outer: WebSocket, signal: AbortSignal): Promise<void> {
  const abort = (): void => {
    inner.terminate();
    outer.terminate();
  };
  signal.addEventListener('abort', abort, { once: true });
  const stopPinging = keepAlive(outer);
  try {
    await Promise.all([pass(inner, outer), pass(outer, inner)]);
  } finally {
    stopPinging();
    signal.removeEventListener('abort', abort);
  }
}

/** Messages and the close of one as the other's. Resolves when it is closed. */
function pass(from: WebSocket, to: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    let failure: number | undefined;
    let unsent = 0;
    let onSent = (): void => undefined;
    const whenSent = (then: () => void): void => {
      if (unsent === 0) return then();
      const timer = setTimeout(then, LAST_MESSAGES_MS);
      onSent = () => {
        clearTimeout(timer);
        then();
      };
    };
    from.on('message', (data, isBinary) => {
      unsent += 1;
      to.send(data, { binary: isBinary }, () => {
        unsent -= 1;
        if (unsent === 0) onSent();
        if (from.isPaused && to.bufferedAmount <= HELD_BYTES / 2) from.resume();
      });
      if (to.bufferedAmount > HELD_BYTES) from.pause();
    });
    from.on('error', (error: Error & { code?: string }) => {
      failure = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 1009 : 1002;
    });
    from.once('close', (code, reason) => {
      closeAs(to, failure ?? code, failure === undefined ? reason : '', whenSent);
      resolve();
    });
    if (from.readyState === WebSocket.OPEN) from.resume();
    else {
      closeAs(to, 1006, '', whenSent);
      resolve();
    }
  });
}

/** 1005 said nothing; 1006 and 1015 were no close at all, and may not be sent: what was accepted before them is. */
function closeAs(socket: WebSocket, code: number, reason: Buffer | string, whenSent: (then: () => void) => void): void {
  if (code === 1005) return socket.close();
  if (code === 1006 || code === 1015) return whenSent(() => socket.terminate());
  socket.close(code, reason);
}

function keepAlive(socket: WebSocket): () => void {
  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }, PING_MS);
  return () => clearInterval(timer);
}
