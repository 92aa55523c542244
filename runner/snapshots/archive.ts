import { Readable } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { z } from 'zod';
import { memoryFacts, type CapturedMemory } from '../engine/memory-images.ts';
import { RunnerError } from '../protocol/errors.ts';
import { LayerGuard, type LayerLimits } from './layer-guard.ts';
import { seal, unseal } from './seal.ts';

/**
 * What a snapshot's object holds, sealed and compressed: four bytes of length, so much JSON, the layer's tar, and the memory's images where
 * it has them. Each of the two is a section: pieces of four bytes of length and so many bytes, and a length of zero. Compression is the
 * quickest there is: a sandbox stands still while its layer is taken.
 */
const headMaxBytes = 2 * 1024 * 1024;
const lengthBytes = 4;
const pieceMaxBytes = 1024 * 1024;
const compressionLevel = 1;
/** Of what comes out at a time, each a trip to another thread: with Node's own size a snapshot takes twice as long. */
const chunkBytes = 128 * 1024;
const processesMax = 4096;

/** What the host has promised of a process, which its agent does not know. */
const promisedProcess = z.object({ processId: z.string().regex(/^[0-9a-f]{32}$/), timeoutMs: z.number().min(0) });

const archiveHead = z.object({
  version: z.literal(2),
  /** Of all that runs in the sandbox; empty unless the snapshot is to pass it on. */
  env: z.record(z.string(), z.string()),
  /** null: its files alone are kept. */
  memory: memoryFacts.extend({ processes: z.array(promisedProcess).max(processesMax) }).nullable(),
});
type ArchiveHead = z.infer<typeof archiveHead>;
export type ArchivedMemory = NonNullable<ArchiveHead['memory']>;

/** The sealed bytes. Fails with what its sources failed with, or snapshot_too_large. The memory is read after the layer. */
export function packArchive(
  key: Uint8Array,
  head: Omit<ArchiveHead, 'version'>,
  content: { layer: AsyncIterable<Uint8Array>; memory: CapturedMemory['bytes'] | undefined },
  guard: LayerGuard,
): AsyncGenerator<Buffer> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    const whole: ArchiveHead = { version: 2, ...head };
    const json = Buffer.from(JSON.stringify(whole));
    // What could not be read again is not written.
    if (json.length > headMaxBytes || !archiveHead.safeParse(whole).success) {
      throw new RunnerError('snapshot_too_large', 'The sandbox’s environment and processes are too many to keep.');
    }
    yield lengthOf(json);
    yield json;
    yield* section(guard.watch(content.layer));
    if (content.memory) yield* section(content.memory);
  };
  const compress = createZstdCompress({
    chunkSize: chunkBytes,
    params: { [constants.ZSTD_c_compressionLevel]: compressionLevel },
  });
  return seal(key, piped(pieces(), compress));
}

async function* section(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; at += pieceMaxBytes) {
      const piece = bytes.subarray(at, at + pieceMaxBytes);
      yield lengthOf(piece);
      yield piece;
    }
  }
  yield lengthOf(Buffer.alloc(0));
}

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32BE(bytes.length);
  return length;
}

export interface OpenedArchive {
  head: ArchiveHead;
  layer: AsyncIterable<Uint8Array>;
  /** Once the layer has been read to its end; empty where there is none. */
  memory: AsyncIterable<Uint8Array>;
  /** Whether it was read or not. */
  close(): Promise<void>;
}

/** Throws snapshot_corrupt, also from what is read of it at any point, and snapshot_too_large. */
export async function openArchive(
  key: Uint8Array,
  sealed: AsyncIterable<Uint8Array>,
  limits: LayerLimits,
): Promise<OpenedArchive> {
  const content = new Content(piped(unseal(key, sealed), createZstdDecompress({ chunkSize: chunkBytes })));
  try {
    const head = await readHead(content);
    const hasMemory = head.memory !== null;
    const memory = hasMemory ? sectionOf(content, 'last') : noBytes();
    const layer = new LayerGuard(limits).watch(sectionOf(content, hasMemory ? 'first' : 'last'));
    return { head, layer, memory, close: () => content.close() };
  } catch (error) {
    await content.close();
    throw faultOf(error);
  }
}

async function readHead(content: Content): Promise<ArchiveHead> {
  const length = (await content.take(lengthBytes)).readUInt32BE();
  if (length > headMaxBytes) throw corrupt(new Error('its head is too large'));
  return archiveHead.parse(JSON.parse((await content.take(length)).toString('utf8')));
}

async function* sectionOf(content: Content, place: 'first' | 'last'): AsyncGenerator<Buffer> {
  try {
    for (;;) {
      const length = (await content.take(lengthBytes)).readUInt32BE();
      if (length === 0) return place === 'last' ? await content.end() : undefined;
      if (length > pieceMaxBytes) throw corrupt(new Error('a piece is too large'));
      yield await content.take(length);
    }
  } catch (error) {
    throw faultOf(error);
  }
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

/** A stream, of which so many bytes are taken as are wanted. */
class Content {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async take(bytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = bytes; ;) {
      const part = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(part.length);
      parts.push(part);
      left -= part.length;
      if (left === 0) return parts.length === 1 ? part : Buffer.concat(parts, bytes);
      const { done, value } = await this.#source.next();
      if (done === true) throw corrupt(new Error('it ends too soon'));
      this.#held = value;
    }
  }

  /** Throws where there is more: all of it was authenticated then. */
  async end(): Promise<void> {
    const { done } = await this.#source.next();
    if (this.#held.length > 0 || done !== true) throw corrupt(new Error('it does not end'));
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/** Through a transform, with the source's own error where that is what failed. */
async function* piped(
  source: AsyncIterable<Uint8Array>,
  through: NodeJS.ReadWriteStream & { destroy(error?: Error): unknown },
): AsyncGenerator<Buffer> {
  const input = Readable.from(source, { objectMode: false });
  input.once('error', (error) => through.destroy(error));
  const output = input.pipe(through) as NodeJS.ReadWriteStream & AsyncIterable<Buffer>;
  try {
    yield* output;
  } finally {
    input.destroy();
    through.destroy();
  }
}

const faultOf = (error: unknown): RunnerError => (error instanceof RunnerError ? error : corrupt(error));

const corrupt = (cause: unknown): RunnerError =>
  new RunnerError('snapshot_corrupt', 'The snapshot’s stored bytes are not what was written.', { cause });
