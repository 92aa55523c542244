import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { RunnerError } from '../protocol/errors.ts';

/**
 * A stream as encrypted frames: a magic word, 16 random bytes of salt, then frames of AES-256-GCM over `frameBytes` each, the last one
 * shorter or equal. The nonce of a frame is its number and whether it is the last, as in the STREAM construction (Hoang, Reyhanitabar,
 * Rogaway, Vizár, 2015): what is cut, repeated, exchanged or added does not open. Every stream has a key of its own, derived from the
 * snapshot's and the salt, so that no nonce is used twice where a snapshot is taken again after a crash.
 */
const magic = Buffer.from('GBXSEAL1');
const saltBytes = 16;
const headBytes = magic.length + saltBytes;
const tagBytes = 16;
export const frameBytes = 256 * 1024;
const sealedFrameBytes = frameBytes + tagBytes;
const algorithm = 'aes-256-gcm';
export const sealKeyBytes = 32;

export async function* seal(key: Uint8Array, source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const salt = randomBytes(saltBytes);
  yield Buffer.concat([magic, salt]);
  const streamKey = deriveKey(key, salt);
  let number = 0;
  let held: Buffer | undefined;
  // One frame is held back, since only the end of the source tells which is the last.
  for await (const frame of inPieces(source, frameBytes)) {
    if (held) yield sealFrame(streamKey, number++, false, held);
    held = frame;
  }
  yield sealFrame(streamKey, number, true, held ?? Buffer.alloc(0));
}

/** Throws snapshot_corrupt for anything that seal() did not write with this key, at the latest instead of ending. */
export async function* unseal(key: Uint8Array, source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let streamKey: Buffer | undefined;
  let number = 0;
  let held: Buffer | undefined;
  for await (const piece of afterHead(source, (head) => (streamKey = openHead(key, head)))) {
    if (held && streamKey) yield openFrame(streamKey, number++, false, held);
    held = piece;
  }
  if (!streamKey || !held) throw corrupt();
  const last = openFrame(streamKey, number, true, held);
  if (last.length > 0) yield last;
}

const corrupt = (cause?: unknown): RunnerError =>
  new RunnerError('snapshot_corrupt', 'The snapshot’s stored bytes are not what was written.', { cause });

function deriveKey(key: Uint8Array, salt: Uint8Array): Buffer {
  if (key.length !== sealKeyBytes) throw new Error(`a sealing key has ${sealKeyBytes} bytes`);
  return Buffer.from(hkdfSync('sha256', key, salt, 'glovebox snapshot frames', sealKeyBytes));
}

function openHead(key: Uint8Array, head: Buffer): Buffer {
  if (!head.subarray(0, magic.length).equals(magic)) throw corrupt();
  return deriveKey(key, head.subarray(magic.length));
}

function nonceOf(number: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(number, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

function sealFrame(key: Buffer, number: number, last: boolean, frame: Buffer): Buffer {
  const cipher = createCipheriv(algorithm, key, nonceOf(number, last));
  return Buffer.concat([cipher.update(frame), cipher.final(), cipher.getAuthTag()]);
}

function openFrame(key: Buffer, number: number, last: boolean, sealed: Buffer): Buffer {
  if (sealed.length < tagBytes) throw corrupt();
  const at = sealed.length - tagBytes;
  const decipher = createDecipheriv(algorithm, key, nonceOf(number, last), { authTagLength: tagBytes });
  decipher.setAuthTag(sealed.subarray(at));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, at)), decipher.final()]);
  } catch (cause) {
    throw corrupt(cause);
  }
}

/** The head to `open`, the rest in frames; what is too short for a head is no stream of ours. */
async function* afterHead(source: AsyncIterable<Uint8Array>, open: (head: Buffer) => void): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  const rest = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      if (head === undefined) {
        yield chunk;
        continue;
      }
      head = Buffer.concat([head, chunk]);
      if (head.length < headBytes) continue;
      open(head.subarray(0, headBytes));
      const left = head.subarray(headBytes);
      head = undefined;
      if (left.length > 0) yield left;
    }
  };
  yield* inPieces(rest(), sealedFrameBytes);
}

/** The same bytes in pieces of one size; the last may be shorter, and none is empty. */
async function* inPieces(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + size - length);
      parts.push(part);
      at += part.length;
      length += part.length;
      if (length < size) continue;
      yield Buffer.concat(parts, length);
      parts = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(parts, length);
}
