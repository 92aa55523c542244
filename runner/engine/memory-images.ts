import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** A checkpoint's images as they travel in a snapshot: their names and lengths, and their bytes one after the other. */
const imagesCountMax = 16_384;
/** Beside the sandbox's own memory: its tmpfs, what CRIU notes of each process. */
const imagesBytesMax = 4 * 1024 ** 3;
const readBytes = 256 * 1024;

const image = z.object({
  name: z.string().regex(/^[a-z][a-z0-9._-]{0,127}$/i),
  sizeBytes: z.int().min(0).max(imagesBytesMax),
});

/** What of a container's memory has to fit the place where it goes on. */
export const memoryFacts = z.object({
  hostname: z.string().regex(/^[0-9a-f]{12}$/),
  network: z.enum(['on', 'off']),
  /** By what it is confined: it goes on in a container that is confined in the same way. */
  confinement: z.string().max(128),
  /** What the processor can do, by processorKind(): programs have looked once, when they began. */
  processor: z.string().max(128),
  images: z
    .array(image)
    .min(1)
    .max(imagesCountMax)
    .refine((images) => images.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) <= imagesBytesMax),
});
export type MemoryFacts = z.infer<typeof memoryFacts>;

/** What runs in a container, at one moment. */
export interface CapturedMemory {
  facts: MemoryFacts;
  /** Of all its images, in their order. */
  bytes: AsyncIterable<Uint8Array>;
}

/** Flat files of root's and the engine's alone. Throws for anything else. */
export async function listImages(folder: string): Promise<MemoryFacts['images']> {
  const names = (await readdir(folder)).toSorted();
  const images = [];
  for (const name of names) {
    const found = await lstat(join(folder, name));
    if (!found.isFile()) throw new Error(`the checkpoint has something that is no file: ${name}`);
    images.push({ name, sizeBytes: found.size });
  }
  return memoryFacts.shape.images.parse(images);
}

/** Fails where an image is not as long as it was listed. */
export async function* readImages(folder: string, images: MemoryFacts['images']): AsyncGenerator<Uint8Array> {
  for (const { name, sizeBytes } of images) {
    if (sizeBytes === 0) continue;
    let left = sizeBytes;
    for await (const chunk of createReadStream(join(folder, name), {
      highWaterMark: readBytes,
    }) as AsyncIterable<Buffer>) {
      left -= chunk.length;
      yield chunk;
    }
    if (left !== 0) throw new Error(`the checkpoint’s ${name} changed while it was read`);
  }
}

/** Into a folder that is not there yet, for root alone. Throws where `bytes` are not exactly those of the images. */
export async function writeImages(
  folder: string,
  { images, bytes }: { images: MemoryFacts['images']; bytes: AsyncIterable<Uint8Array> },
  signal: AbortSignal,
): Promise<void> {
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 });
  await mkdir(folder, { mode: 0o700 });
  const source = new Pieces(bytes);
  try {
    for (const { name, sizeBytes } of images) {
      const file = await open(join(folder, name), 'wx', 0o600);
      try {
        for (let left = sizeBytes; left > 0;) {
          signal.throwIfAborted();
          const piece = await source.next(left);
          if (piece === undefined) throw new Error('the memory ends too soon');
          await file.writeFile(piece);
          left -= piece.length;
        }
      } finally {
        await file.close();
      }
    }
    if ((await source.next(1)) !== undefined) throw new Error('the memory is longer than its images');
  } finally {
    await source.close();
  }
}

/** The same bytes, no more at a time than are asked for. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async next(most: number): Promise<Uint8Array | undefined> {
    while (this.#held.length === 0) {
      const { done, value } = await this.#source.next();
      if (done === true) return undefined;
      this.#held = value;
    }
    const piece = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(piece.length);
    return piece;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

let kind: string | undefined;

/** The architecture and all that the kernel says the processor can do, as a hash: what was begun on one goes on on its equals. */
export async function processorKind(): Promise<string> {
  kind ??= await readKind();
  return kind;
}

async function readKind(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8');
  const features = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? '';
  const hash = createHash('sha256').update(features.split(' ').toSorted().join(' ')).digest('hex');
  return `${process.arch}-${hash.slice(0, 32)}`;
}
