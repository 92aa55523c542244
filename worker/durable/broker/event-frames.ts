import type { OutEvent } from '../../../runner/protocol/channel.ts';
import type { StreamEvent } from '../../core/ports.ts';
import type { Failure } from './outcome.ts';

/**
 * How events cross from the Broker to the Worker, as bytes: header length and payload length (u32, big endian), the header as JSON,
 * the payload. Byte streams are the only streams that cross between isolates. A header of length 0 is a sign of life.
 */
const PREFIX_BYTES = 8;
const HEADER_BYTES = 2 * 1024 * 1024;
const PAYLOAD_BYTES = 1024 * 1024;

/** A failure ends a stream in its final event's place; the reader throws it. */
export type Frame = { kind: 'event'; event: StreamEvent } | { kind: 'failure'; failure: Failure };
type Header = OutEvent | { t: 'failure'; failure: Failure };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const signOfLife = (): Uint8Array => new Uint8Array(PREFIX_BYTES);

export const encodeFailure = (failure: Failure): Uint8Array => encode({ t: 'failure', failure });

export const encodeEvent = (event: OutEvent, bytes?: Uint8Array): Uint8Array => encode(event, bytes);

const encode = (fields: Header, bytes?: Uint8Array): Uint8Array => {
  const header = encoder.encode(JSON.stringify(fields));
  const payloadBytes = bytes?.byteLength ?? 0;
  const frame = new Uint8Array(PREFIX_BYTES + header.byteLength + payloadBytes);
  const view = new DataView(frame.buffer);
  view.setUint32(0, header.byteLength);
  view.setUint32(4, payloadBytes);
  frame.set(header, PREFIX_BYTES);
  if (bytes) frame.set(bytes, PREFIX_BYTES + header.byteLength);
  return frame;
};

/** Takes chunks as they come, cut anywhere; gives whole frames. Throws if the other side breaks the format. */
export class FrameDecoder {
  #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;

  push(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    const rest = this.#bufferedBytes === 0 ? takeWhole(chunk, frames) : chunk;
    if (rest.byteLength === 0) return frames;
    this.#chunks.push(rest);
    this.#bufferedBytes += rest.byteLength;
    for (;;) {
      const sizes = this.#sizes();
      if (!sizes || this.#bufferedBytes < PREFIX_BYTES + sizes.header + sizes.payload) return frames;
      this.#take(PREFIX_BYTES);
      addFrame(frames, this.#take(sizes.header), this.#take(sizes.payload));
    }
  }

  /** Whether the stream may end here. */
  get complete(): boolean {
    return this.#bufferedBytes === 0;
  }

  #sizes(): { header: number; payload: number } | undefined {
    if (this.#bufferedBytes < PREFIX_BYTES) return undefined;
    const prefix = this.#take(PREFIX_BYTES);
    this.#chunks.unshift(prefix);
    this.#bufferedBytes += PREFIX_BYTES;
    return sizesOf(prefix);
  }

  #take(length: number): Uint8Array {
    const first = this.#chunks[0];
    this.#bufferedBytes -= length;
    if (first && first.byteLength >= length) {
      if (first.byteLength === length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const joined = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      const chunk = this.#chunks[0];
      if (!chunk) throw new Error('the frame decoder lost count');
      const part = chunk.subarray(0, length - filled);
      joined.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === chunk.byteLength) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.byteLength);
    }
    return joined;
  }
}

const sizesOf = (prefix: Uint8Array): { header: number; payload: number } => {
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
  const sizes = { header: view.getUint32(0), payload: view.getUint32(4) };
  if (sizes.header > HEADER_BYTES || sizes.payload > PAYLOAD_BYTES) throw new Error('an event frame is too large');
  return sizes;
};

/** The frames that a chunk holds whole, as most do; gives what is left of it. */
const takeWhole = (chunk: Uint8Array, frames: Frame[]): Uint8Array => {
  let rest = chunk;
  while (rest.byteLength >= PREFIX_BYTES) {
    const sizes = sizesOf(rest);
    const payloadAt = PREFIX_BYTES + sizes.header;
    const end = payloadAt + sizes.payload;
    if (rest.byteLength < end) break;
    addFrame(frames, rest.subarray(PREFIX_BYTES, payloadAt), rest.subarray(payloadAt, end));
    rest = rest.subarray(end);
  }
  return rest;
};

const addFrame = (frames: Frame[], header: Uint8Array, payload: Uint8Array): void => {
  if (header.byteLength === 0) return;
  const fields = JSON.parse(decoder.decode(header)) as Header;
  if (fields.t === 'failure') frames.push({ kind: 'failure', failure: fields.failure });
  else frames.push({ kind: 'event', event: payload.byteLength === 0 ? fields : { ...fields, bytes: payload } });
};
