import type { ByteInput } from './byte-source.ts';
import { ByteSource, chunksOf, gathered, streamOf } from './byte-source.ts';
import { entryPath } from './entry-path.ts';
import type { RawHeader } from './tar-header.ts';
import {
  blockBytes,
  fileHeader,
  invalidTar,
  paddingBytes,
  readHeaderBlock,
  readPaxRecords,
  untilNul,
} from './tar-header.ts';

export interface FileToPack {
  /** Relative, without a slash at its end. */
  path: string;
  sizeBytes: number;
  modifiedAtMs: number;
  /** Permission bits; 0644 unless given. */
  mode?: number;
  /** Exactly `sizeBytes` of them, or the archive fails. */
  body: ByteInput;
}

/** An archive of files, made as it is read. It fails, and never just ends, when an entry or a body does. */
export const packTar = (files: AsyncIterable<FileToPack> | Iterable<FileToPack>): ReadableStream<Uint8Array> =>
  streamOf(gathered(archiveOf(files)));

/** The length of the archive that packTar makes of them. */
export const tarBytes = (files: Iterable<FileToPack>): number => {
  let bytes = 2 * blockBytes;
  for (const { path, sizeBytes, modifiedAtMs, mode = 0o644 } of files) {
    bytes += fileHeader({ path, sizeBytes, modifiedAtMs, mode }).length + sizeBytes + paddingBytes(sizeBytes);
  }
  return bytes;
};

async function* archiveOf(files: AsyncIterable<FileToPack> | Iterable<FileToPack>): AsyncGenerator<Uint8Array, void> {
  for await (const { path, sizeBytes, modifiedAtMs, mode = 0o644, body } of files) {
    yield fileHeader({ path, sizeBytes, modifiedAtMs, mode });
    let bytes = 0;
    for await (const chunk of chunksOf(body)) {
      bytes += chunk.length;
      if (bytes > sizeBytes) break;
      yield chunk;
    }
    if (bytes !== sizeBytes) {
      throw new Error(
        `${path}: ${bytes > sizeBytes ? 'more' : 'fewer'} bytes than the ${sizeBytes} that were announced`,
      );
    }
    if (paddingBytes(sizeBytes) > 0) yield new Uint8Array(paddingBytes(sizeBytes));
  }
  yield new Uint8Array(2 * blockBytes);
}

export interface TarBounds {
  entriesMax: number;
  pathBytesMax: number;
  /** Of all files together. */
  contentBytesMax: number;
}

export const tarBounds = { entriesMax: 10_000, pathBytesMax: 4096 } as const;

/** Of one extended header. */
const extendedBytesMax = 256 * 1024;
/** After the archive's end: tar fills its last record, seldom of more than 10 KiB, with zeros. */
const trailerBytesMax = 1024 * 1024;

export interface TarEntry {
  /** Relative, of plain segments: no «..», no «.», no slash at its end. */
  path: string;
  /** other: a hard link, a sparse file, a device, a FIFO or what the format may yet be given. */
  kind: 'file' | 'directory' | 'symlink' | 'other';
  /** Of a file's content; 0 for all else. */
  sizeBytes: number;
  modifiedAtMs: number;
  /** A file's content, to be read once, before the next entry is asked for. */
  body: AsyncIterable<Uint8Array>;
}

/**
 * The entries of an archive in their order, read no faster than they are consumed; what is left unread of one is skipped.
 * An archive that lacks its end is an error, wherever it is cut. Throws invalid_argument, from here or from a body.
 */
export async function* unpackTar(archive: ByteInput, bounds: TarBounds): AsyncGenerator<TarEntry, void> {
  const source = new ByteSource(archive);
  let contentBytes = 0;
  try {
    for (let entries = 1; ; entries += 1) {
      const header = await nextHeader(source, bounds.pathBytesMax);
      if (header === undefined) break;
      if (entries > bounds.entriesMax) throw invalidTar(`has more than ${bounds.entriesMax} entries`);
      const kind = kindOf(header);
      if (kind === 'file') contentBytes += header.sizeBytes;
      if (contentBytes > bounds.contentBytesMax)
        throw invalidTar(`has more than ${bounds.contentBytesMax} bytes of content`);
      const content = new Content(source, header.sizeBytes);
      const path = entryPath(header.name, bounds.pathBytesMax);
      if (path !== '') {
        const isFile = kind === 'file';
        yield {
          path,
          kind,
          sizeBytes: isFile ? header.sizeBytes : 0,
          modifiedAtMs: header.modifiedAtMs,
          body: isFile ? content.read() : chunksOf(new Uint8Array(0)),
        };
      } else if (kind !== 'directory') {
        throw invalidTar('has an entry without a name');
      }
      await content.skip();
    }
    await readTrailer(source);
  } finally {
    await source.close();
  }
}

type Header = RawHeader & { sparse: boolean };

/** The next entry's header with its extended headers applied; undefined at the archive's end. */
async function nextHeader(source: ByteSource, pathBytesMax: number): Promise<Header | undefined> {
  let overrides = new Map<string, Uint8Array>();
  for (let extended = 0; ; extended += 1) {
    const header = readHeaderBlock(await required(source, blockBytes));
    if (header === undefined) {
      if (extended > 0) throw invalidTar('ends after an extended header');
      if (readHeaderBlock(await required(source, blockBytes)) !== undefined) throw invalidTar('goes on after its end');
      return undefined;
    }
    if (!'xgLK'.includes(header.typeflag)) return await applied(source, header, overrides);
    // A name, a link's name and attributes: an entry needs one of each.
    if (extended === 8) throw invalidTar('has an entry with more than 8 extended headers');
    if (header.sizeBytes > extendedBytesMax)
      throw invalidTar(`has an extended header of more than ${extendedBytesMax} bytes`);
    const body = (await required(source, header.sizeBytes + paddingBytes(header.sizeBytes))).subarray(
      0,
      header.sizeBytes,
    );
    // Global headers («g») carry comments, and links' names («K») are of no use here.
    if (header.typeflag === 'x') overrides = new Map([...overrides, ...readPaxRecords(body)]);
    if (header.typeflag === 'L') overrides.set('path', untilNul(body).slice(0, pathBytesMax + 1));
  }
}

async function applied(source: ByteSource, header: RawHeader, overrides: Map<string, Uint8Array>): Promise<Header> {
  // The old format's map of holes continues in blocks that the size does not count.
  for (let more = header.extended; more;) more = (await required(source, blockBytes))[504] === 1;
  const text = (key: string): string | undefined => {
    const value = overrides.get(key);
    return value === undefined ? undefined : new TextDecoder().decode(value);
  };
  const size = text('size') ?? String(header.sizeBytes);
  // A hard link's size is that of what it links to, whose content is not repeated.
  const sizeBytes = header.typeflag === '1' ? 0 : Number(size);
  if (!/^[0-9]+$/.test(size) || !Number.isSafeInteger(sizeBytes)) throw invalidTar('has an entry of no sensible size');
  const modifiedAtMs = Math.max(0, Math.floor(Number(text('mtime') ?? header.modifiedAtMs / 1000) * 1000));
  return {
    ...header,
    name: overrides.get('path') ?? header.name,
    sizeBytes,
    modifiedAtMs: Number.isSafeInteger(modifiedAtMs) ? modifiedAtMs : 0,
    sparse: [...overrides.keys()].some((key) => key.startsWith('GNU.sparse.')),
  };
}

function kindOf(header: Header): TarEntry['kind'] {
  if (header.sparse) return 'other';
  switch (header.typeflag) {
    case '0':
    case '7':
      return 'file';
    case '\0':
      return header.name.at(-1) === 47 ? 'directory' : 'file';
    case '2':
      return 'symlink';
    case '5':
      return 'directory';
    default:
      return 'other';
  }
}

/** An entry's content in the archive, and its padding. */
class Content {
  readonly #source: ByteSource;
  readonly #paddingBytes: number;
  #left: number;
  #passed = false;

  constructor(source: ByteSource, sizeBytes: number) {
    this.#source = source;
    this.#left = sizeBytes;
    this.#paddingBytes = paddingBytes(sizeBytes);
  }

  async *read(): AsyncGenerator<Uint8Array, void> {
    while (this.#left > 0) {
      if (this.#passed) throw new Error('an entry of an archive was read after the next one had been asked for');
      yield await this.#piece();
    }
  }

  async skip(): Promise<void> {
    this.#passed = true;
    while (this.#left > 0) await this.#piece();
    await required(this.#source, this.#paddingBytes);
  }

  async #piece(): Promise<Uint8Array> {
    const chunk = await this.#source.upTo(this.#left);
    if (chunk === undefined) throw cut();
    this.#left -= chunk.length;
    return chunk;
  }
}

async function readTrailer(source: ByteSource): Promise<void> {
  let bytes = 0;
  for (let chunk; (chunk = await source.upTo(trailerBytesMax)) !== undefined;) {
    bytes += chunk.length;
    if (bytes > trailerBytesMax) throw invalidTar(`has more than ${trailerBytesMax} bytes after its end`);
  }
}

const cut = () => invalidTar('is cut: its end is missing');

async function required(source: ByteSource, bytes: number): Promise<Uint8Array> {
  const read = await source.exactly(bytes);
  if (read === undefined) throw cut();
  return read;
}
