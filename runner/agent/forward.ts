import { Duplex } from 'node:stream';
import { encodeFrame, encodeHeader, frameBounds, frameKind } from '../protocol/agent.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { ExpectedData } from './data.ts';
import type { Accepted } from './listener.ts';
import { AgentViolation } from './replies.ts';

type Frame = { kind: number; payload: Uint8Array };

const broken = (cause?: unknown): RunnerError =>
  new RunnerError('port_failed', 'The connection to the server in the sandbox broke.', { cause });

/** `ask` sends the request with the token that the data connection will show, and resolves once the server's side is connected. */
export async function forwardOver(
  expected: ExpectedData,
  ask: (token: string) => Promise<null>,
  idleMs: number | undefined,
): Promise<Duplex> {
  const data = expected.expect();
  try {
    await ask(data.token);
    return new ForwardStream(await data.arrival, idleMs);
  } catch (error) {
    data.cancel();
    void data.arrival.then(({ socket }) => socket.destroy()).catch(() => undefined);
    throw error;
  }
}

/**
 * A TCP connection to a server in the sandbox. Its readable side ends with the server's FIN and fails when the connection was cut; ending its
 * writable side is a FIN to the server. Held are a socket's read and one frame at most, either way.
 */
class ForwardStream extends Duplex {
  readonly #accepted: Accepted;
  readonly #idle: NodeJS.Timeout | undefined;
  #ended = false;
  /** Cut, with bytes that came before still to be read: a server may answer, and then close without reading what it is being sent. */
  #cut = false;

  constructor(accepted: Accepted, idleMs: number | undefined) {
    super({ allowHalfOpen: true, emitClose: true });
    // Its users have listeners of their own, while they use it.
    this.on('error', () => undefined);
    this.#accepted = accepted;
    const { socket } = accepted;
    const idle = (): void => void this.destroy(broken(new Error(`nothing moved for ${idleMs} ms`)));
    if (idleMs !== undefined) this.#idle = setTimeout(idle, idleMs);
    socket.on('data', (chunk: Buffer) => this.#take(() => accepted.frames.push(chunk)));
    socket.once('close', () => {
      if (!this.#ended || !this.writableFinished) this.#fail();
    });
    this.#take(() => accepted.rest);
    if (socket.destroyed) this.destroy(broken());
  }

  /** What Node's HTTP client may ask of a socket, and a Duplex does not have: time is kept here, and there is no TCP on this side. */
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _read(): void {
    if (this.#cut) this.destroy(broken());
    else this.#accepted.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#idle?.refresh();
    const { socket } = this.#accepted;
    // It is told to whoever reads, after what there is to read.
    if (socket.destroyed || this.#cut) return callback();
    socket.cork();
    for (let at = 0; at < chunk.length; at += frameBounds.chunkBytes) {
      const piece = chunk.subarray(at, at + frameBounds.chunkBytes);
      socket.write(encodeHeader(frameKind.chunk, piece.length));
      socket.write(piece);
    }
    socket.uncork();
    if (!socket.writableNeedDrain) return callback();
    const settle = (): void => {
      socket.off('drain', settle);
      socket.off('close', settle);
      this.#idle?.refresh();
      callback();
    };
    socket.once('drain', settle);
    socket.once('close', settle);
  }

  override _final(callback: (error?: Error | null) => void): void {
    const { socket } = this.#accepted;
    if (!socket.destroyed) socket.write(encodeFrame(frameKind.end, new Uint8Array()));
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idle);
    // Without an error all was said: what is still being written goes out first.
    if (error) this.#accepted.socket.destroy();
    else this.#accepted.socket.destroySoon();
    callback(error);
  }

  #take(frames: () => Iterable<Frame>): void {
    try {
      this.#idle?.refresh();
      for (const { kind, payload } of frames()) this.#receive(kind, payload);
    } catch (error) {
      this.destroy(broken(error));
    }
  }

  /** After what there is to read. */
  #fail(): void {
    if (this.readableLength === 0) this.destroy(broken());
    else this.#cut = true;
  }

  #receive(kind: number, payload: Uint8Array): void {
    if (this.destroyed || this.#cut) return;
    if (this.#ended) throw new AgentViolation('a frame after the end');
    if (kind === frameKind.end) {
      this.#ended = true;
      this.push(null);
    } else if (kind === frameKind.fault) this.#fail();
    else if (kind === frameKind.chunk) {
      if (payload.length > 0 && !this.push(payload)) this.#accepted.socket.pause();
    } else throw new AgentViolation('an unknown frame');
  }
}
