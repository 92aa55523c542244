import type { ByteSource } from '../../../../core/formats/byte-source.ts';
import { ConnectError } from './failure.ts';

/** An envelope of Connect's streaming: flags, length (u32, big endian), the message (connectrpc.com/docs/protocol). */
const headerBytes = 5;
export const envelopeFlags = { message: 0, compressed: 1, endOfStream: 2 } as const;

const encoder = new TextEncoder();

export const encodeEnvelope = (flags: number, message: object): Uint8Array => {
  const json = encoder.encode(JSON.stringify(message));
  const bytes = new Uint8Array(headerBytes + json.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, flags);
  view.setUint32(1, json.byteLength);
  bytes.set(json, headerBytes);
  return bytes;
};

/** The message of a body that must be one uncompressed envelope. */
export const openEnvelope = (body: Uint8Array): Uint8Array => {
  if (body.byteLength < headerBytes) throw new ConnectError('invalid_argument', 'the body holds no enveloped message');
  const messageBytes = readHeader(body);
  if (body.byteLength < headerBytes + messageBytes) throw cut();
  if (body.byteLength > headerBytes + messageBytes) {
    throw new ConnectError('invalid_argument', 'the body holds more than one enveloped message');
  }
  return body.subarray(headerBytes);
};

/** The messages of a body that is any number of uncompressed envelopes, as they come. */
export async function* openEnvelopes(body: ByteSource, messageMaxBytes: number): AsyncGenerator<Uint8Array, void> {
  for (;;) {
    const header = await body.exactly(headerBytes);
    if (header === undefined && body.held.length === 0) return;
    if (header === undefined) throw cut();
    const messageBytes = readHeader(header);
    if (messageBytes > messageMaxBytes) throw tooLong(messageMaxBytes);
    const message = await body.exactly(messageBytes);
    if (message === undefined) throw cut();
    yield message;
  }
}

/** How long the message is that follows. */
const readHeader = (bytes: Uint8Array): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint8(0);
  if ((flags & envelopeFlags.compressed) !== 0) {
    throw new ConnectError('unimplemented', 'compressed messages are not read; send identity');
  }
  if (flags !== envelopeFlags.message) throw new ConnectError('invalid_argument', 'an envelope is no message');
  return view.getUint32(1);
};

const cut = (): ConnectError => new ConnectError('invalid_argument', 'the message was cut');

export const tooLong = (messageMaxBytes: number): ConnectError =>
  new ConnectError('resource_exhausted', `a message has at most ${messageMaxBytes} bytes`);
