import { ServiceError } from '../errors.ts';
import type { ByteInput } from './byte-source.ts';
import { ByteSource } from './byte-source.ts';
import { boundaryOf, partHeaders } from './part-headers.ts';

export interface MultipartBounds {
  partsMax: number;
  /** Of one part. */
  headerBytesMax: number;
  /** Of a part without a file name. */
  fieldBytesMax: number;
  /** Of a part with one. */
  fileBytesMax: number;
  /** Where larger ones go, as the rest of a sentence; absent: nowhere. */
  largerFiles?: string;
  duplicateNames: 'refused' | 'allowed';
}

export const multipartBounds = { partsMax: 32, headerBytesMax: 16 * 1024, fieldBytesMax: 64 * 1024 } as const;

export interface Part {
  name: string;
  /** As the client wrote it, with whatever slashes and control characters. undefined: a field. */
  filename: string | undefined;
  contentType: string | undefined;
  /** To be read once, before the next part is asked for. */
  body: AsyncIterable<Uint8Array>;
}

/** Before the first boundary and after the last: nobody sends anything there. */
const surroundingBytesMax = 16 * 1024;
/** RFC 2046 lets transport pad a boundary's line. */
const paddingBytesMax = 64;

const invalid = (message: string): ServiceError => new ServiceError('invalid_argument', `The form ${message}.`);
const tooLarge = (message: string): ServiceError => new ServiceError('payload_too_large', `The form ${message}.`);

/**
 * The parts of a multipart/form-data body (RFC 7578) in their order, read no faster than they are consumed. What is
 * left unread of a part is skipped when the next one is asked for. A form that is cut is an error wherever it is cut:
 * only who has seen the last part, and then the end of the iteration, has a whole form.
 *
 * Throws invalid_argument and payload_too_large, from here or from a part's body.
 */
export async function* readMultipart(
  contentType: string | undefined,
  body: ByteInput,
  bounds: MultipartBounds,
): AsyncGenerator<Part, void> {
  const form = new Form(boundaryOf(contentType), body);
  const names = new Set<string>();
  try {
    await form.skip(surroundingBytesMax, () => invalid('has more than 16 KiB before its first boundary'));
    for (let parts = 1; !form.ended; parts += 1) {
      if (parts > bounds.partsMax) throw tooLarge(`has more than ${bounds.partsMax} parts`);
      const part = partHeaders(await form.headers(bounds.headerBytesMax));
      if (bounds.duplicateNames === 'refused' && names.has(part.name)) {
        throw invalid(`has more than one part «${part.name.slice(0, 100)}»`);
      }
      names.add(part.name);
      const bytesMax = part.filename === undefined ? bounds.fieldBytesMax : bounds.fileBytesMax;
      const wayOut = part.filename === undefined ? '' : (bounds.largerFiles ?? '');
      const content = form.content(bytesMax, () =>
        tooLarge(`has a part «${part.name.slice(0, 100)}» of more than ${bytesMax} bytes${wayOut}`),
      );
      yield { ...part, body: content.read() };
      await content.skip();
    }
    await form.epilogue();
  } finally {
    await form.close();
  }
}

/** The text of a field. Throws payload_too_large above `bytesMax`, invalid_argument for what is not UTF-8. */
export async function readText(part: Part, bytesMax: number): Promise<string> {
  const shown = part.name.slice(0, 100);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decoded = (chunk: Uint8Array, stream: boolean): string => {
    try {
      return decoder.decode(chunk, { stream });
    } catch (error) {
      throw new ServiceError('invalid_argument', `The form has a field «${shown}» that is not UTF-8.`, {
        cause: error,
      });
    }
  };
  let text = '';
  let bytes = 0;
  for await (const chunk of part.body) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(`has a field «${shown}» of more than ${bytesMax} bytes`);
    text += decoded(chunk, true);
  }
  return text + decoded(new Uint8Array(0), false);
}

/** A body between its boundaries. */
class Form {
  readonly #source: ByteSource;
  readonly #delimiter: Uint8Array;
  /** Sections begun so far: what stands before the first boundary, then the parts. */
  #section = 0;
  #inContent = true;
  ended = false;

  constructor(boundary: string, body: ByteInput) {
    const encoder = new TextEncoder();
    this.#delimiter = encoder.encode(`\r\n--${boundary}`);
    // A delimiter begins with a line's end, which the first one may lack.
    this.#source = new ByteSource(body, encoder.encode('\r\n'));
  }

  /** The section that begins here, to its boundary. */
  content(
    bytesMax: number,
    excess: () => ServiceError,
  ): { read(): AsyncGenerator<Uint8Array, void>; skip(): Promise<void> } {
    this.#inContent = true;
    this.#section += 1;
    const section = this.#section;
    let bytes = 0;
    const next = async (): Promise<Uint8Array | undefined> => {
      const chunk = await this.#piece();
      bytes += chunk?.length ?? 0;
      if (bytes > bytesMax) throw excess();
      return chunk;
    };
    const ours = (): boolean => this.#section === section;
    return {
      async *read() {
        for (;;) {
          if (!ours()) throw new Error('a part of a form was read after the next one had been asked for');
          const chunk = await next();
          if (chunk === undefined) return;
          yield chunk;
        }
      },
      async skip() {
        while ((await next()) !== undefined);
      },
    };
  }

  async skip(bytesMax: number, excess: () => ServiceError): Promise<void> {
    await this.content(bytesMax, excess).skip();
  }

  /** A part's header lines, without the empty one that ends them. */
  async headers(bytesMax: number): Promise<Uint8Array> {
    for (;;) {
      const { held } = this.#source;
      const end = endOfHeaders(held);
      if (Math.max(end, end < 0 ? held.length : 0) > bytesMax) {
        throw tooLarge(`has a part with headers of more than ${bytesMax} bytes`);
      }
      if (end >= 0) {
        const lines = this.#source.take(end);
        this.#source.take(end === 0 ? 2 : 4);
        return lines;
      }
      await this.#more();
    }
  }

  async epilogue(): Promise<void> {
    let bytes = 0;
    for (let chunk; (chunk = await this.#source.upTo(surroundingBytesMax)) !== undefined;) {
      bytes += chunk.length;
      if (bytes > surroundingBytesMax) throw invalid('has more than 16 KiB after its last boundary');
    }
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  /** The next bytes of the section; undefined once its boundary has been passed. */
  async #piece(): Promise<Uint8Array | undefined> {
    while (this.#inContent) {
      const { at, found, bytes } = findDelimiter(this.#source.held, this.#delimiter);
      if (at > 0) return this.#source.take(at);
      if (found === 'part' || found === 'last') {
        this.#source.take(bytes);
        this.#inContent = false;
        this.ended = found === 'last';
      } else {
        await this.#more();
      }
    }
    return undefined;
  }

  async #more(): Promise<void> {
    if (!(await this.#source.more())) throw invalid('is cut: its last boundary is missing');
  }
}

/** -1: not yet all there. Headers may be none at all. */
function endOfHeaders(held: Uint8Array): number {
  if (held[0] === 13 && held[1] === 10) return 0;
  for (let at = held.indexOf(13); at >= 0; at = held.indexOf(13, at + 1)) {
    if (held[at + 1] === 10 && held[at + 2] === 13 && held[at + 3] === 10) return at;
  }
  return -1;
}

type Found = 'part' | 'last' | 'unclear' | 'nothing';

/**
 * The next delimiter, `at` bytes of content before it, and the length of its line. A CR stands in a delimiter only at its
 * start, so that nothing is compared twice. What begins as the delimiter and goes on as another word is content, as Go
 * has it.
 */
function findDelimiter(held: Uint8Array, delimiter: Uint8Array): { at: number; found: Found; bytes: number } {
  for (let at = held.indexOf(13); at >= 0; at = held[at + 1] === 13 ? at + 1 : held.indexOf(13, at + 1)) {
    let matched = 1;
    while (matched < delimiter.length && held[at + matched] === delimiter[matched]) matched += 1;
    if (at + matched === held.length) return { at, found: 'unclear', bytes: 0 };
    if (matched < delimiter.length) continue;
    const { found, end } = restOfLine(held, at + matched);
    if (found !== 'nothing') return { at, found, bytes: end - at };
  }
  return { at: held.length, found: 'nothing', bytes: 0 };
}

/** After a boundary: «--», or a line's end that padding may precede. */
function restOfLine(held: Uint8Array, from: number): { found: Found; end: number } {
  let end = from;
  while (end < from + paddingBytesMax && (held[end] === 32 || held[end] === 9)) end += 1;
  const first = held[end];
  const second = held[end + 1];
  end += 2;
  if (first === undefined) return { found: 'unclear', end };
  if (first !== 45 && first !== 13) return { found: 'nothing', end };
  if (second === undefined) return { found: 'unclear', end };
  if (first === 45 && second === 45 && end === from + 2) return { found: 'last', end };
  return { found: first === 13 && second === 10 ? 'part' : 'nothing', end };
}
