import type { Socket } from 'node:net';
import { Command } from 'ioredis';
import { streamFields } from '../protocol/channel.ts';

/** From here on bytes are worth not being copied once more: ioredis joins a command's arguments into one buffer. */
const UNCOPIED_BYTES = 8 * 1024;

/** ioredis passes the connection's socket, typed as any object. */
const asSocket = (stream: object): Socket => stream as Socket;

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

/** XADD of one entry; to be sent while the socket is corked, for it may be written in pieces. */
export class StreamEntry extends Command {
  readonly #stream: string;
  readonly #header: string;
  readonly #bytes: Uint8Array | undefined;

  constructor(stream: string, header: string, bytes: Uint8Array | undefined) {
    const fields: (string | Buffer)[] = [streamFields.header, header];
    if (bytes) fields.push(streamFields.bytes, asBuffer(bytes));
    super('xadd', [stream, 'NOMKSTREAM', '*', ...fields], { replyEncoding: 'utf8' });
    this.#stream = stream;
    this.#header = header;
    this.#bytes = bytes;
  }

  override toWritable(stream: object): string | Buffer {
    const bytes = this.#bytes;
    if (!bytes || bytes.byteLength < UNCOPIED_BYTES) return super.toWritable(stream);
    const fields = [this.#stream, 'NOMKSTREAM', '*', streamFields.header, this.#header, streamFields.bytes];
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
