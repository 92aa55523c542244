import { encodeBase64 } from '../core/base64.ts';

export type OutputEncoding = 'utf8' | 'base64';

const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

/** All of an output at once. */
export const outputText = (bytes: Uint8Array, encoding: OutputEncoding): string =>
  encoding === 'base64' ? encodeBase64(bytes) : decoder.decode(bytes);

/** How many bytes at the end begin a UTF-8 character that is not complete (0–3). */
const incompleteTailBytes = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
};

/** Text of an output that comes in pieces: a character that is cut between two of them is held until its rest has come. */
export class PiecewiseText {
  readonly #encoding: OutputEncoding;
  #held: Uint8Array = new Uint8Array();

  constructor(encoding: OutputEncoding) {
    this.#encoding = encoding;
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  take(bytes: Uint8Array): string {
    if (this.#encoding === 'base64') return encodeBase64(bytes);
    const all = this.#held.length === 0 ? bytes : joined(this.#held, bytes);
    const complete = all.length - incompleteTailBytes(all);
    this.#held = all.slice(complete);
    return decoder.decode(all.subarray(0, complete));
  }

  /** What is held although its rest will not come. */
  flush(): string {
    const text = decoder.decode(this.#held);
    this.#held = new Uint8Array();
    return text;
  }
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
};
