import { createConnection, type Socket } from 'node:net';
import { AbstractConnector, type RedisOptions } from 'ioredis';

/** The runtime reads a socket 4 KiB at a time unless told otherwise: most of what a stream of output would cost. */
const READ_BYTES = 128 * 1024;
const DISCONNECT_MS = 2_000;

/** ioredis hands a connector its own options, whatever its types say. */
const asRedisOptions = (options: unknown): RedisOptions => options as RedisOptions;

/** Opens plain TCP connections that read what has come at once. */
export class WideConnector extends AbstractConnector {
  readonly #host: string;
  readonly #port: number;

  constructor(options: unknown) {
    super(DISCONNECT_MS);
    const { host = '127.0.0.1', port = 6379 } = asRedisOptions(options);
    this.#host = host;
    this.#port = port;
  }

  override async connect(): Promise<Socket> {
    const socket: Socket = createConnection({
      host: this.#host,
      port: this.#port,
      onread: {
        buffer: new Uint8Array(READ_BYTES),
        // The buffer is read into again, so what came is copied, as large as it is. false: that is enough for now.
        callback: (bytes, buffer): boolean => socket.push(Buffer.from(buffer.subarray(0, bytes))),
      },
    });
    socket.once('error', (error) => {
      this.firstError = error;
    });
    this.stream = socket;
    return socket;
  }
}
