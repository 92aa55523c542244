import type { Context } from '../ports.ts';
import type { ArtifactWrite } from './commit-artifacts.ts';
import { sniffContentType } from './content-type.ts';
import type { ArtifactPlace } from './get-artifact.ts';
import { stageBytes, unstage } from './stage-bytes.ts';

/** A file up to here is held while others are read: the store takes its time for each. */
const smallBytes = 256 * 1024;
/** How many of them are on their way to the store at once. */
const storingCount = 8;

/** Many files that come one after another, on their way to one commit. */
export class FileStager {
  readonly #ctx: Context;
  readonly #writes: ArtifactWrite[] = [];
  /** Those that have failed stay in it. */
  readonly #storing = new Set<Promise<void>>();

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /** Takes all of `content` before it resolves. Throws what stageBytes throws, also for a file that was added before. */
  async add(place: ArtifactPlace, content: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<void> {
    // A client that is gone: what there is so far is discarded in the time that is left.
    this.#ctx.signal.throwIfAborted();
    if (sizeBytes > smallBytes) return this.#store(place, content, sizeBytes);
    const bytes = await collected(content, sizeBytes);
    while (this.#storing.size >= storingCount) await Promise.race(this.#storing);
    const storing = this.#store(place, bytes, sizeBytes).then(() => {
      this.#storing.delete(storing);
    });
    this.#storing.add(storing);
    // Its failure is told by whoever waits for it next, which may be a while.
    storing.catch(() => undefined);
  }

  /** All of them. */
  async staged(): Promise<readonly ArtifactWrite[]> {
    await Promise.all(this.#storing);
    return this.#writes;
  }

  /** Instead of a commit: nothing stays in the store. */
  async discard(): Promise<void> {
    await Promise.allSettled(this.#storing);
    unstage(
      this.#ctx,
      this.#writes.map(({ blob }) => blob.blobId),
    );
  }

  async #store(place: ArtifactPlace, content: AsyncIterable<Uint8Array> | Uint8Array, sizeBytes: number) {
    const blob = await stageBytes(this.#ctx, content, sizeBytes);
    this.#writes.push({ ...place, blob, contentType: sniffContentType(blob.head, place.name) });
  }
}

/** Archives' readers see to it that a file is as long as was said. */
const collected = async (content: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array> => {
  const bytes = new Uint8Array(sizeBytes);
  let filled = 0;
  for await (const chunk of content) {
    if (filled + chunk.byteLength > sizeBytes) throw new Error('a file is longer than it was said to be');
    bytes.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return bytes.subarray(0, filled);
};
