import { Readable } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { z } from 'zod';
import { RunnerError } from '../protocol/errors.ts';
import { LayerGuard, type LayerLimits } from './layer-guard.ts';
import { seal, unseal } from './seal.ts';

/**
 * What a snapshot's object holds, sealed and compressed: four bytes of length, so much JSON, then the layer's tar. Compression is the
 * quickest there is: a sandbox stands still while it is taken.
 */
const headMaxBytes = 1024 * 1024;
const lengthBytes = 4;
const compressionLevel = 1;
/** Of what comes out at a time, each a trip to another thread: with Node's own size a snapshot takes twice as long. */
const chunkBytes = 128 * 1024;

const archiveHead = z.object({
  version: z.literal(1),
  /** Of all that runs in the sandbox; empty unless the snapshot is to pass it on. */
  env: z.record(z.string(), z.string()),
});
type ArchiveHead = z.infer<typeof archiveHead>;

/** The sealed bytes. Fails with what `layer` failed with, or snapshot_too_large. */
export function packArchive(
  key: Uint8Array,
  head: Omit<ArchiveHead, 'version'>,
  layer: AsyncIterable<Uint8Array>,
  guard: LayerGuard,
): AsyncGenerator<Buffer> {
  const content = async function* (): AsyncGenerator<Uint8Array> {
    const json = Buffer.from(JSON.stringify({ version: 1, ...head } satisfies ArchiveHead));
    const length = Buffer.alloc(lengthBytes);
    length.writeUInt32BE(json.length);
    yield Buffer.concat([length, json]);
    yield* guard.watch(layer);
  };
  const compress = createZstdCompress({
    chunkSize: chunkBytes,
    params: { [constants.ZSTD_c_compressionLevel]: compressionLevel },
  });
  return seal(key, piped(content(), compress));
}

/** Its head, then the layer. Throws snapshot_corrupt, also from the layer at any point of it, and snapshot_too_large. */
export async function openArchive(
  key: Uint8Array,
  sealed: AsyncIterable<Uint8Array>,
  limits: LayerLimits,
): Promise<{ head: ArchiveHead; layer: AsyncGenerator<Uint8Array> }> {
  const content = piped(unseal(key, sealed), createZstdDecompress({ chunkSize: chunkBytes }))[Symbol.asyncIterator]();
  let begun = Buffer.alloc(0);
  const need = async (bytes: number): Promise<void> => {
    while (begun.length < bytes) {
      const { done, value } = await content.next();
      if (done === true) throw corrupt(new Error('it ends within its head'));
      begun = Buffer.concat([begun, value]);
    }
  };
  try {
    await need(lengthBytes);
    const headBytes = begun.readUInt32BE();
    if (headBytes > headMaxBytes) throw corrupt(new Error('its head is too large'));
    await need(lengthBytes + headBytes);
    const head = archiveHead.parse(JSON.parse(begun.toString('utf8', lengthBytes, lengthBytes + headBytes)));
    const rest = begun.subarray(lengthBytes + headBytes);
    return { head, layer: new LayerGuard(limits).watch(follow(rest, content)) };
  } catch (error) {
    await content.return?.(undefined);
    throw faultOf(error);
  }
}

async function* follow(first: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } catch (error) {
    throw faultOf(error);
  } finally {
    await rest.return?.(undefined);
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
