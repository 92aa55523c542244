import type { Socket } from 'bun';
import type { RunnerFault } from '../../protocol/errors.ts';
import { FrameReader, encodeFrame, encodeHeader, encodeJson, frameBounds, frameKind } from '../../protocol/agent.ts';
import { AgentFault } from './fault.ts';
import { noteActivity } from './memory.ts';
import { SocketWriter } from './socket-writer.ts';

export interface DataHandlers {
  chunk(bytes: Uint8Array): void;
  end(): void;
  /** Closed by the host, at any time. */
  closed(): void;
}

/** One transfer's own connection: its bytes must not delay the control connection's frames. */
export class DataConnection {
  #closed = false;
  #writer: SocketWriter | undefined;
  #socket: Socket | undefined;

  static async dial(path: string, token: string, handlers: DataHandlers): Promise<DataConnection> {
    const connection = new DataConnection();
    const frames = new FrameReader(() => frameBounds.chunkBytes);
    await Bun.connect({
      unix: path,
      socket: {
        open: (socket) => {
          connection.#writer = new SocketWriter(socket);
          connection.#socket = socket;
          connection.#writer.write(encodeJson(frameKind.hello, { role: 'data', token }));
        },
        data: (socket, received) => {
          noteActivity(received.length);
          try {
            for (const { kind, payload } of frames.push(received)) {
              if (kind === frameKind.chunk) handlers.chunk(payload);
              else if (kind === frameKind.end) handlers.end();
            }
          } catch (error) {
            console.error('data', error);
            socket.terminate();
          }
        },
        drain: () => connection.#writer?.flush(),
        close: () => {
          connection.#closed = true;
          connection.#writer?.abandon();
          handlers.closed();
        },
        error: () => undefined,
      },
    });
    return connection;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the kernel has taken the bytes: then their memory may be used again. Throws if the host has gone. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += frameBounds.chunkBytes) {
      const chunk = bytes.subarray(at, at + frameBounds.chunkBytes);
      this.#writer?.write(encodeHeader(frameKind.chunk, chunk.length));
      this.#writer?.write(chunk);
      await this.#writer?.drained();
      if (this.#closed) throw new AgentFault('transfer_failed', 'The reader has gone.');
    }
  }

  async finish(fault?: RunnerFault): Promise<void> {
    if (this.#closed) return;
    const last =
      fault === undefined ? encodeFrame(frameKind.end, new Uint8Array()) : encodeJson(frameKind.fault, fault);
    this.#writer?.write(last);
    await this.#writer?.drained();
    this.close();
  }

  /** False: congested; send no more before drained() has resolved. `bytes` are kept until then. */
  offer(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += frameBounds.chunkBytes) {
      const chunk = bytes.subarray(at, at + frameBounds.chunkBytes);
      this.#writer?.write(encodeHeader(frameKind.chunk, chunk.length));
      this.#writer?.write(chunk);
    }
    return !(this.#writer?.congested ?? false);
  }

  /** No more will be sent; what comes is taken on. */
  offerEnd(): void {
    this.#writer?.write(encodeFrame(frameKind.end, new Uint8Array()));
  }

  /** It was cut; the host closes. */
  offerFault(fault: RunnerFault): void {
    this.#writer?.write(encodeJson(frameKind.fault, fault));
  }

  /** Resolves, too, when the connection is closed. */
  async drained(): Promise<void> {
    await this.#writer?.drained();
  }

  /** The host is not read until resume(). */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    if (!this.#closed) this.#socket?.resume();
  }

  close(): void {
    this.#socket?.end();
  }
}
