import type { Socket } from 'node:net';
import { Command } from 'ioredis';
import { streamFields } from '../protocol/channel.ts';

/** From here on bytes are worth not being copied once more: ioredis joins a command's arguments into one buffer. */
const UNCOPIED_BYTES = 8 * 1024;

export interface EntryEvent {
  header: string;
  bytes: Uint8Array | undefined;
}

/** ioredis passes the connection's socket, typed as any object. */
const asSocket = (stream: object): Socket => stream as Socket;

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

const fieldsOf = ({ header, bytes }: EntryEvent): (string | Buffer)[] =>
  bytes ? [streamFields.header, header, streamFields.bytes, asBuffer(bytes)] : [streamFields.header, header];

/** XADD of one entry with these events, one at least; to be sent while the socket is corked, for it may be written in pieces. */
export class StreamEntry extends Command {
  readonly #stream: string;
  /** Sent without a copy. */
  readonly #large: { header: string; bytes: Uint8Array } | undefined;

  constructor(stream: string, events: readonly EntryEvent[]) {
    super('xadd', [stream, 'NOMKSTREAM', '*', ...events.flatMap(fieldsOf)], { replyEncoding: 'utf8' });
    this.#stream = stream;
    const [event] = events;
    if (events.length === 1 && event?.bytes && event.bytes.byteLength >= UNCOPIED_BYTES) {
      this.#large = { header: event.header, bytes: event.bytes };
    }
  }

  override toWritable(stream: object): string | Buffer {
    if (!this.#large) return super.toWritable(stream);
    const { header, bytes } = this.#large;
    const fields = [this.#stream, 'NOMKSTREAM', '*', streamFields.header, header, streamFields.bytes];
    const socket = asSocket(stream);
    socket.write(`*${fields.length + 2}\r\n${bulk('xadd')}${fields.map(bulk).join('')}$${bytes.byteLength}\r\n`);
    socket.write(bytes);
    return '\r\n';
  }
}

/** The same memory; ioredis takes Buffers only. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
