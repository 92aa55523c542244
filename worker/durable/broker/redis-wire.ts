import { connect } from 'cloudflare:sockets';
import { DeliveryError } from './ports.ts';
import { encodeCommand, join, RedisRefusal, ReplyReader, type Argument, type Reply } from './resp.ts';

const CONNECT_TIMEOUT_MS = 2_000;
/** Read at once; what has come is copied out of it, so that one buffer serves the connection. */
const READ_BYTES = 128 * 1024;
/** Commands whose answer is awaited. Past it new ones are refused. */
const AWAITED_COMMANDS = 16 * 1024;
/** Commands that wait for the socket to take them. */
const UNSENT_BYTES = 32 * 1024 * 1024;
/** Answered ones are let go in portions: shifting an array for each would cost its length. */
const ANSWERED_KEPT = 1024;
const DEFAULT_PORT = 6379;

interface Awaited {
  resolve(reply: Reply): void;
  reject(error: DeliveryError): void;
}

/**
 * One connection to Redis for the commands of channels: what a client library does beside that, on the runtime's emulation of node:net,
 * was a quarter of what a key in a terminal cost. It lives as long as its socket; a lost one is replaced by a new session
 * (redis-session.ts), never revived.
 */
export class RedisWire {
  readonly #socket: Socket;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamBYOBReader;
  #awaited: Awaited[] = [];
  /** How many of these, from the first, were answered. */
  #answered = 0;
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #writing = false;
  #gone = false;
  #onGone: ((cause: unknown) => void) | undefined;

  /** Connected, and let in, when it resolves. */
  static async connect(url: string): Promise<RedisWire> {
    const wire = new RedisWire(new URL(url));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new DeliveryError('refused', 'Redis did not answer in time')),
        CONNECT_TIMEOUT_MS,
      );
    });
    try {
      await Promise.race([wire.#enter(new URL(url)), late]);
      return wire;
    } catch (error) {
      wire.close();
      throw new DeliveryError('refused', 'Redis cannot be reached', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor({ protocol, hostname, port }: URL) {
    const address = { hostname, port: port === '' ? DEFAULT_PORT : Number(port) };
    this.#socket = connect(address, { secureTransport: protocol === 'rediss:' ? 'on' : 'off', allowHalfOpen: false });
    this.#socket.closed.catch(() => undefined);
    this.#writer = this.#socket.writable.getWriter();
    this.#reader = this.#socket.readable.getReader({ mode: 'byob' });
    this.#read().catch((error: unknown) => this.#fail(error));
  }

  async #enter({ username, password, pathname }: URL): Promise<void> {
    if (password !== '') {
      const words = [decodeURIComponent(username), decodeURIComponent(password)].filter((word) => word !== '');
      await this.send('AUTH', ...words);
    }
    const database = pathname.slice(1);
    if (database !== '') await this.send('SELECT', database);
    await this.send('PING');
  }

  /** Called once, with why it is over; not after close(). */
  onGone(listener: (cause: unknown) => void): void {
    this.#onGone = listener;
    if (this.#gone) listener(new Error('the connection to Redis is closed'));
  }

  /**
   * Leaves with what else is sent in this turn. Rejects with a DeliveryError. Answers are untyped: the caller says what it has asked for.
   */
  send<T extends Reply>(...args: Argument[]): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(new DeliveryError('refused', 'Redis is not connected'));
      const command = encodeCommand(args);
      const full = this.#unsentBytes > 0 && this.#unsentBytes + command.byteLength > UNSENT_BYTES;
      if (full || this.#awaited.length - this.#answered >= AWAITED_COMMANDS) {
        return reject(new DeliveryError('refused', 'Redis has too much to answer already'));
      }
      this.#awaited.push({ resolve: (reply) => resolve(reply as T), reject });
      this.#unsent.push(command);
      this.#unsentBytes += command.byteLength;
      if (!this.#writing) this.#write().catch((error: unknown) => this.#fail(error));
    });
  }

  /** Without a word to anyone but those who wait for an answer. */
  close(): void {
    this.#onGone = undefined;
    this.#fail(new Error('the connection was closed'));
  }

  async #write(): Promise<void> {
    this.#writing = true;
    // Whatever is sent in this turn goes with it.
    await Promise.resolve();
    while (this.#unsent.length > 0 && !this.#gone) {
      const bytes = join(this.#unsent);
      this.#unsent = [];
      this.#unsentBytes = 0;
      await this.#writer.write(bytes);
    }
    this.#writing = false;
  }

  async #read(): Promise<void> {
    const replies = new ReplyReader((reply) => this.#answer(reply));
    let buffer = new ArrayBuffer(READ_BYTES);
    for (;;) {
      const { done, value } = await this.#reader.read(new Uint8Array(buffer));
      if (done) throw new Error('Redis has closed the connection');
      replies.push(value);
      buffer = value.buffer;
    }
  }

  #answer(reply: Reply): void {
    const awaited = this.#awaited[this.#answered];
    if (!awaited) throw new Error('Redis has answered what was not asked');
    this.#answered += 1;
    if (this.#answered === this.#awaited.length || this.#answered === ANSWERED_KEPT) {
      this.#awaited = this.#awaited.slice(this.#answered);
      this.#answered = 0;
    }
    if (reply instanceof RedisRefusal) awaited.reject(new DeliveryError('refused', reply.message, { cause: reply }));
    else awaited.resolve(reply);
  }

  #fail(cause: unknown): void {
    if (this.#gone) return;
    this.#gone = true;
    const awaited = this.#awaited.slice(this.#answered);
    this.#awaited = [];
    this.#unsent = [];
    for (const command of awaited) {
      command.reject(new DeliveryError('unknown', 'The connection to Redis was lost before its answer', { cause }));
    }
    // The other side may be gone: nobody waits for a farewell.
    this.#socket.close().catch(() => undefined);
    this.#onGone?.(cause);
  }
}
