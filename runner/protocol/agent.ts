import type { Attachment, ProcessExit, ProcessSpec, SignalName } from './process.ts';
import type { FileOperation, FileRead, FileWatch, FileWrite, WatchEvent } from './files.ts';
import type { RunnerFault } from './errors.ts';

/**
 * What the runner and the agent inside a sandbox say to each other on the socket. No zod here: the agent's bundle must stay small.
 * A connection carries frames: u32 length (of what follows), u8 kind, payload; integers are big endian, JSON is UTF-8. The first
 * frame from the agent is a hello, which makes the connection the control connection or the data connection of one transfer.
 */
export const agentProtocol = 1;

export const frameKind = {
  /** JSON AgentHello, agent → host, first on every connection. */
  hello: 0,
  /** JSON AgentRequest, host → agent. */
  request: 1,
  /** u32 request id, 32 bytes process id (ASCII), bytes. Answered by a reply. */
  stdin: 2,
  /** u32 reader, u32 bytes. */
  credit: 3,
  /** u32 reader: no more output wanted. */
  detach: 4,
  /** JSON AgentReply, agent → host. */
  reply: 17,
  /** u32 reader, u8 fd, f64 offset, bytes. */
  output: 18,
  /** JSON AgentEvent. */
  event: 19,
  /** Data connections, either way: bytes of the transfer. */
  chunk: 32,
  /** Data connections: all bytes have been sent. */
  end: 33,
  /** Data connections: JSON RunnerFault; the transfer failed. */
  fault: 34,
} as const;

export const frameBounds = {
  /** Host → agent: a script of 1 MiB, its environment and stdin, JSON-escaped. */
  requestBytes: 16 * 1024 * 1024,
  /** Agent → host, ordinary frames. */
  frameBytes: 256 * 1024,
  /** Agent → host while a reply that may be long (lists) is awaited. */
  longReplyBytes: 8 * 1024 * 1024,
  /** One chunk of a data connection. */
  chunkBytes: 256 * 1024,
  /** One stdin frame's bytes. */
  stdinBytes: 256 * 1024,
  eventPaths: 256,
} as const;

export type AgentHello =
  | { role: 'control'; protocol: number; boot: string; pid: number }
  | { role: 'data'; token: string };

export type AgentRequest = { id: number } & (
  | { op: 'configure'; env: Record<string, string>; cwd: string }
  | { op: 'start'; spec: ProcessSpec; reader: { id: number; attach: Attachment } | null }
  | { op: 'attach'; processId: string; reader: { id: number; attach: Attachment } }
  /** `details`: only those that run, with what they were started with. */
  | { op: 'list'; details: boolean }
  | { op: 'close_stdin'; processId: string }
  | { op: 'resize'; processId: string; cols: number; rows: number }
  | { op: 'signal'; processId: string; signal: SignalName }
  | { op: 'terminate'; graceMs: number }
  | { op: 'file'; operation: FileOperation; input: unknown }
  /** The agent dials a data connection with `token` and sends the bytes there, after this request's reply (a ReadHead). */
  | { op: 'read'; read: FileRead; token: string }
  /** The agent dials a data connection with `token`, takes the bytes there, and replies once the target is in place. */
  | { op: 'write'; write: FileWrite; token: string }
  | { op: 'watch'; watch: FileWatch; watchId: number }
  | { op: 'unwatch'; watchId: number }
  /** The agent connects to the port, replies, and dials a data connection with `token` that carries the bytes both ways; `end` is a FIN. */
  | { op: 'connect'; port: number; token: string }
);

export type AgentReply = { id: number; value: unknown } | { id: number; fault: RunnerFault };

export type AgentEvent =
  | { event: 'lagged'; reader: number; droppedBytes: number; detached: boolean }
  | { event: 'exit'; reader: number; exit: ProcessExit; outputBytes: number }
  | { event: 'watch'; watchId: number; events: WatchEvent[]; droppedEvents: number };

const headerBytes = 5;
const outputHeaderBytes = 13;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeFrame(kind: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + payload.length);
  writeHeader(frame, kind, payload.length);
  frame.set(payload, headerBytes);
  return frame;
}

/** Only the header, for payloads that are sent without a copy. */
export function encodeHeader(kind: number, payloadBytes: number): Uint8Array {
  const frame = new Uint8Array(headerBytes);
  writeHeader(frame, kind, payloadBytes);
  return frame;
}

export function encodeJson(
  kind: number,
  value: AgentHello | AgentRequest | AgentReply | AgentEvent | RunnerFault,
): Uint8Array {
  return encodeFrame(kind, encoder.encode(JSON.stringify(value)));
}

export const decodeJson = (payload: Uint8Array): unknown => JSON.parse(decoder.decode(payload));

function writeHeader(frame: Uint8Array, kind: number, payloadBytes: number): void {
  new DataView(frame.buffer, frame.byteOffset).setUint32(0, payloadBytes + 1);
  frame[4] = kind;
}

/** An output frame with room for `bytes`, which the caller fills: one copy from the ring to the wire. */
export function outputFrame(
  reader: number,
  fd: number,
  offset: number,
  bytes: number,
): { frame: Uint8Array; body: Uint8Array } {
  const frame = new Uint8Array(headerBytes + outputHeaderBytes + bytes);
  writeHeader(frame, frameKind.output, outputHeaderBytes + bytes);
  const view = new DataView(frame.buffer, headerBytes);
  view.setUint32(0, reader);
  view.setUint8(4, fd);
  view.setFloat64(5, offset);
  return { frame, body: frame.subarray(headerBytes + outputHeaderBytes) };
}

/** undefined: not an output frame's payload. */
export function decodeOutput(
  payload: Uint8Array,
): { reader: number; fd: 0 | 1 | 2; offset: number; bytes: Uint8Array } | undefined {
  if (payload.length <= outputHeaderBytes) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset);
  const fd = view.getUint8(4);
  const offset = view.getFloat64(5);
  if ((fd !== 0 && fd !== 1 && fd !== 2) || !Number.isSafeInteger(offset) || offset < 0) return undefined;
  return { reader: view.getUint32(0), fd, offset, bytes: payload.subarray(outputHeaderBytes) };
}

export function encodeStdin(id: number, processId: string, bytes: Uint8Array): Uint8Array {
  const payload = new Uint8Array(36 + bytes.length);
  new DataView(payload.buffer).setUint32(0, id);
  payload.set(encoder.encode(processId), 4);
  payload.set(bytes, 36);
  return encodeFrame(frameKind.stdin, payload);
}

export function decodeStdin(payload: Uint8Array): { id: number; processId: string; bytes: Uint8Array } {
  const id = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  return { id, processId: decoder.decode(payload.subarray(4, 36)), bytes: payload.subarray(36) };
}

export function encodeCredit(reader: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(8);
  const view = new DataView(payload.buffer);
  view.setUint32(0, reader);
  view.setUint32(4, bytes);
  return encodeFrame(frameKind.credit, payload);
}

export function decodeCredit(payload: Uint8Array): { reader: number; bytes: number } {
  const view = new DataView(payload.buffer, payload.byteOffset);
  return { reader: view.getUint32(0), bytes: view.getUint32(4) };
}

export function encodeDetach(reader: number): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, reader);
  return encodeFrame(frameKind.detach, payload);
}

export const decodeDetach = (payload: Uint8Array): number =>
  new DataView(payload.buffer, payload.byteOffset).getUint32(0);

/**
 * Cuts a byte stream into frames. Holds at most one unfinished frame, in memory of its own size: a sender that sends it byte by
 * byte costs no more than one that sends it whole. A length out of bounds is refused before its bytes are held.
 */
export class FrameReader {
  /** The frame under way, with its length and kind, and how much of it is there. */
  #frame: Uint8Array | undefined;
  #held = 0;
  readonly #header = new Uint8Array(headerBytes);
  #headerHeld = 0;
  readonly #maxBytes: () => number;

  constructor(maxBytes: () => number) {
    this.#maxBytes = maxBytes;
  }

  /** The frames that `chunk` completes, in order. Payloads may share the chunk's memory. Throws on a length out of bounds. */
  *push(chunk: Uint8Array): Generator<{ kind: number; payload: Uint8Array }> {
    for (let at = 0; at < chunk.length;) {
      const rest = chunk.subarray(at);
      if (this.#frame === undefined && this.#headerHeld === 0 && rest.length >= headerBytes) {
        const bytes = this.#frameBytes(rest);
        if (rest.length >= bytes) {
          at += bytes;
          yield { kind: rest[4] ?? 0, payload: rest.subarray(headerBytes, bytes) };
          continue;
        }
      }
      at += this.#frame === undefined ? this.#takeHeader(rest) : this.#takeBody(this.#frame, rest);
      const frame = this.#frame;
      if (frame === undefined || this.#held < frame.length) continue;
      this.#frame = undefined;
      yield { kind: frame[4] ?? 0, payload: frame.subarray(headerBytes) };
    }
  }

  /** How many of `bytes` it has used. */
  #takeHeader(bytes: Uint8Array): number {
    const used = Math.min(bytes.length, headerBytes - this.#headerHeld);
    this.#header.set(bytes.subarray(0, used), this.#headerHeld);
    this.#headerHeld += used;
    if (this.#headerHeld < headerBytes) return used;
    this.#headerHeld = 0;
    this.#frame = new Uint8Array(this.#frameBytes(this.#header));
    this.#frame.set(this.#header);
    this.#held = headerBytes;
    return used;
  }

  #takeBody(frame: Uint8Array, bytes: Uint8Array): number {
    const used = Math.min(bytes.length, frame.length - this.#held);
    frame.set(bytes.subarray(0, used), this.#held);
    this.#held += used;
    return used;
  }

  /** Of the whole frame that these bytes begin. */
  #frameBytes(header: Uint8Array): number {
    const length = new DataView(header.buffer, header.byteOffset).getUint32(0);
    if (length < 1 || length > this.#maxBytes() + 1) throw new Error(`a frame of ${length} bytes`);
    return 4 + length;
  }
}
