import type { Socket } from 'bun';
import { DataConnection } from './data-connection.ts';
import { AgentFault, errnoOf } from './fault.ts';
import { noteActivity } from './memory.ts';
import { SocketWriter } from './socket-writer.ts';

/** The host counts them too, and refuses earlier. */
const forwardsMax = 512;
/** A connection within the sandbox is accepted at once, or its listener's backlog is full. */
const connectMs = 5_000;
/** Once the server's side is over the host closes, when it has read what there is. */
const hostClosesMs = 10_000;
/** In this order: a server that listens on one of them only is found either way. */
const addresses = ['127.0.0.1', '::1'];

interface Handlers {
  data(bytes: Uint8Array): void;
  /** The server will send no more. */
  end(): void;
  drain(): void;
  closed(cut: boolean): void;
}

/** TCP connections to servers in the sandbox, each over a data connection of its own. They need no network but loopback. */
export class Forwards {
  #open = 0;
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Resolves once the server's side is connected; its bytes follow on the data connection. */
  async connect(port: number, token: string): Promise<null> {
    if (this.#open >= forwardsMax) {
      throw new AgentFault('too_many_connections', `${forwardsMax} connections into this sandbox are open already.`);
    }
    this.#open += 1;
    const forward = new Forward(() => (this.#open -= 1));
    try {
      await forward.connect(port);
    } catch (error) {
      this.#open -= 1;
      throw error;
    }
    void forward.join(this.#socketPath, token);
    return null;
  }
}

/** One connection. Neither side is read while the other one is full. */
class Forward implements Handlers {
  #server: Socket | undefined;
  #writer: SocketWriter | undefined;
  #host: DataConnection | undefined;
  #hostCloses: Timer | undefined;
  #over = false;
  #serverEnded = false;
  #hostEnded = false;
  readonly #onOver: () => void;

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  async connect(port: number): Promise<void> {
    this.#server = await dial(port, this);
    this.#writer = new SocketWriter(this.#server);
  }

  async join(socketPath: string, token: string): Promise<void> {
    try {
      const host = await DataConnection.dial(socketPath, token, {
        chunk: (bytes) => this.#toServer(bytes),
        end: () => void this.#endToServer(),
        closed: () => {
          clearTimeout(this.#hostCloses);
          this.#finish();
        },
      });
      this.#host = host;
      if (this.#over) return host.close();
      if (this.#serverEnded) host.offerEnd();
      this.#server?.resume();
    } catch {
      this.#finish();
    }
  }

  data(bytes: Uint8Array): void {
    noteActivity(bytes.length);
    const host = this.#host;
    if (host === undefined || host.offer(bytes)) return;
    this.#server?.pause();
    void host.drained().then(() => {
      if (!this.#over) this.#server?.resume();
    });
  }

  end(): void {
    this.#serverEnded = true;
    this.#host?.offerEnd();
    this.#closeWhenBothEnded();
  }

  drain(): void {
    this.#writer?.flush();
  }

  /**
   * Cut, which the host sees by a connection that closes without its `end`; or ended: Bun tells no end of a socket that was shut down before,
   * only its close.
   */
  closed(cut: boolean): void {
    if (!cut && this.#hostEnded && !this.#serverEnded) this.end();
    else this.#finish();
  }

  #toServer(bytes: Uint8Array): void {
    const writer = this.#writer;
    if (writer === undefined || this.#over) return;
    writer.write(bytes);
    if (!writer.congested) return;
    this.#host?.pause();
    void writer.drained().then(() => this.#host?.resume());
  }

  async #endToServer(): Promise<void> {
    this.#hostEnded = true;
    await this.#writer?.drained();
    if (!this.#over) this.#server?.shutdown();
    this.#closeWhenBothEnded();
  }

  #closeWhenBothEnded(): void {
    if (this.#serverEnded && this.#hostEnded) this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#writer?.abandon();
    // After both ends a close is a FIN that was sent already; before, the server is told that the bytes are not whole.
    if (this.#serverEnded && this.#hostEnded) this.#server?.end();
    else this.#server?.terminate();
    this.#onOver();
    const host = this.#host;
    if (host === undefined || host.closed) return;
    // Closed here, while the host writes, it would lose what it has not read yet: what still comes from it is thrown away instead.
    if (!this.#serverEnded) host.offerFault({ code: 'port_failed', message: 'The server closed the connection.' });
    host.resume();
    this.#hostCloses = setTimeout(() => host.close(), hostClosesMs);
  }
}

async function dial(port: number, handlers: Handlers): Promise<Socket> {
  let refused: unknown;
  for (const hostname of addresses) {
    try {
      return await connectWithin(hostname, port, handlers);
    } catch (error) {
      refused = error;
    }
  }
  if (refused instanceof AgentFault) throw refused;
  if (errnoOf(refused) === 'EMFILE') {
    throw new AgentFault('too_many_connections', 'The sandbox has no descriptors left for another connection.');
  }
  throw new AgentFault('port_not_open', `Nothing listens on port ${port}.`);
}

async function connectWithin(hostname: string, port: number, handlers: Handlers): Promise<Socket> {
  let late = false;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late = true;
    reject(new AgentFault('port_not_open', `What listens on port ${port} accepts no connection.`));
  }, connectMs);
  const connecting = Bun.connect({
    hostname,
    port,
    allowHalfOpen: true,
    socket: {
      open: (socket) => {
        if (late) return socket.terminate();
        // Nothing is read before there is somewhere to put it.
        socket.pause();
      },
      data: (_socket, bytes) => handlers.data(bytes),
      end: () => handlers.end(),
      drain: () => handlers.drain(),
      // One that was given up is nobody's any more.
      close: (_socket, error) => {
        if (!late) handlers.closed(error !== undefined);
      },
      error: () => undefined,
    },
  });
  connecting.catch(() => undefined);
  try {
    return await Promise.race([connecting, promise]);
  } finally {
    clearTimeout(timer);
  }
}
