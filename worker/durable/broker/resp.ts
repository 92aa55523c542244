import { concatBytes } from '../../core/concat-bytes.ts';

/** What Redis answers in RESP2 (redis.io, «Redis serialization protocol specification»). A bulk string's bytes are the taker's. */
export type Reply = string | number | Uint8Array | null | RedisRefusal | Reply[];
export type Argument = string | number | Uint8Array;

/** Redis itself has refused a command: it was not carried out. */
export class RedisRefusal extends Error {}

/** A longer string is not held: empty bytes are in its place. What the edge reads is shorter (an event's header has at most 2 MiB). */
const STRING_BYTES = 4 * 1024 * 1024;
const LINE_BYTES = 64 * 1024;
const ITEMS = 1024 * 1024;
const DEPTH = 8;
const LF = 0x0a;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A command as an array of bulk strings. */
export const encodeCommand = (args: readonly Argument[]): Uint8Array => {
  const parts: Uint8Array[] = [];
  let text = `*${args.length}\r\n`;
  for (const arg of args) {
    if (arg instanceof Uint8Array) {
      parts.push(encoder.encode(`${text}$${arg.byteLength}\r\n`), arg);
      text = '\r\n';
    } else {
      const word = String(arg);
      text += `$${byteLength(word)}\r\n${word}\r\n`;
    }
  }
  parts.push(encoder.encode(text));
  return join(parts);
};

const ascii = /^[\0-\x7f]*$/;
const byteLength = (text: string): number => (ascii.test(text) ? text.length : encoder.encode(text).byteLength);

export const join = (parts: readonly Uint8Array[]): Uint8Array => {
  const [first] = parts;
  return first && parts.length === 1 ? first : concatBytes(parts);
};

/** A bulk string under way, with the CR LF that follows it. */
interface Bulk {
  /** undefined: it is too long to be held. */
  bytes: Uint8Array | undefined;
  total: number;
  filled: number;
}

/** Takes bytes as they come, cut anywhere, and gives whole replies in order. Throws if it is not RESP2. Copies what it gives. */
export class ReplyReader {
  readonly #take: (reply: Reply) => void;
  /** The beginning of a line whose end has not come. */
  #line = '';
  #bulk: Bulk | undefined;
  /** Arrays that are not complete, the innermost last. */
  readonly #open: { items: Reply[]; count: number }[] = [];

  constructor(take: (reply: Reply) => void) {
    this.#take = take;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength;) {
      if (this.#bulk) {
        at += this.#fill(this.#bulk, chunk, at);
        continue;
      }
      const end = chunk.indexOf(LF, at);
      this.#line += textOf(chunk, at, end < 0 ? chunk.byteLength : end);
      if (this.#line.length > LINE_BYTES) throw new Error('Redis sent a line that is too long');
      if (end < 0) return;
      at = end + 1;
      const line = this.#line.slice(0, -1);
      this.#line = '';
      this.#read(line);
    }
  }

  /** How many bytes of the chunk belonged to it. */
  #fill(bulk: Bulk, chunk: Uint8Array, at: number): number {
    const used = Math.min(bulk.total - bulk.filled, chunk.byteLength - at);
    bulk.bytes?.set(chunk.subarray(at, at + used), bulk.filled);
    bulk.filled += used;
    if (bulk.filled < bulk.total) return used;
    this.#bulk = undefined;
    this.#add(bulk.bytes?.subarray(0, bulk.total - 2) ?? new Uint8Array());
    return used;
  }

  #read(line: string): void {
    const rest = line.slice(1);
    switch (line[0]) {
      case '+':
        return this.#add(rest);
      case '-':
        return this.#add(new RedisRefusal(rest));
      case ':':
        return this.#add(integer(rest));
      case '$':
        return this.#begin(integer(rest));
      case '*':
        return this.#descend(integer(rest));
      default:
        throw new Error('Redis sent what is not RESP2');
    }
  }

  #begin(length: number): void {
    if (length < 0) return this.#add(null);
    const total = length + 2;
    this.#bulk = { bytes: length > STRING_BYTES ? undefined : new Uint8Array(total), total, filled: 0 };
  }

  #descend(count: number): void {
    if (count < 0) return this.#add(null);
    if (count === 0) return this.#add([]);
    if (count > ITEMS || this.#open.length === DEPTH) throw new Error('Redis sent an array that is too large');
    this.#open.push({ items: [], count });
  }

  /** To the innermost array, which may be complete with it, and so on outwards. */
  #add(value: Reply): void {
    let complete = value;
    for (let inner = this.#open.at(-1); inner; inner = this.#open.at(-1)) {
      inner.items.push(complete);
      if (inner.items.length < inner.count) return;
      this.#open.pop();
      complete = inner.items;
    }
    this.#take(complete);
  }
}

/** Nearly all lines are a few digits, which a TextDecoder takes longer to be asked for than to read. */
const textOf = (bytes: Uint8Array, from: number, to: number): string => {
  if (to - from > 32) return decoder.decode(bytes.subarray(from, to));
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] ?? 0);
  return text;
};

const integer = (text: string): number => {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value)) throw new Error('Redis sent a number that is none');
  return value;
};
