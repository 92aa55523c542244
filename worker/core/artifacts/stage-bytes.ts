import { toHex } from '../hex.ts';
import { ServiceError } from '../errors.ts';
import { newBlobId } from '../ids.ts';
import type { Context } from '../ports.ts';
import { blobKey } from './blob-key.ts';
import { chunksOf, type ByteInput } from '../formats/byte-source.ts';

/** What one object may hold that is not written in parts (R2: 5 GiB less 5 MiB). */
export const objectMaxBytes = 5 * 1024 ** 3 - 5 * 1024 ** 2;

/** The parts that content of unknown length is stored in: one is held in memory while it fills. */
const partBytes = 8 * 1024 * 1024;

/** Bytes in the store that no row refers to yet: commitArtifacts makes them a blob, or unstage removes them. */
export interface StagedBlob {
  blobId: string;
  /** `sha256:<hex>` of the content; null where it did not pass through the worker. */
  digest: string | null;
  sizeBytes: number;
  /** The first bytes, up to 4,100. */
  head: Uint8Array;
}

/**
 * Writes content under a random key, hashed while it streams. `contentBytes` null: unknown. Throws payload_too_large past `maxBytes`,
 * invalid_argument for a body that was cut, unavailable; nothing is left in the store then.
 */
export const stageBytes = async (
  ctx: Context,
  content: ByteInput,
  contentBytes: number | null,
  maxBytes: number = objectMaxBytes,
): Promise<StagedBlob> => {
  const blobId = newBlobId();
  if (contentBytes === null)
    return ctx.bodyMemory.hold(ctx, partBytes, (touch) => stageUnknown(ctx, blobId, touched(content, touch), maxBytes));
  if (contentBytes > maxBytes) throw tooLarge(maxBytes);
  const { digest, head } = await ctx.objects.put(blobKey(ctx.actor.tenant.id, blobId), content, contentBytes);
  return { blobId, digest: `sha256:${digest}`, sizeBytes: contentBytes, head };
};

/** Of bytes that were staged in vain. What can't be deleted now is found by the sweep. */
export const unstage = (ctx: Context, blobIds: readonly string[]): void => {
  if (blobIds.length > 0) ctx.after(ctx.objects.delete(blobIds.map((blobId) => blobKey(ctx.actor.tenant.id, blobId))));
};

const tooLarge = (maxBytes: number): ServiceError =>
  new ServiceError(
    'payload_too_large',
    `This takes at most ${maxBytes} bytes at once${maxBytes === objectMaxBytes ? '; larger files go up in parts' : ''}.`,
  );

async function* touched(content: ByteInput, touch: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunksOf(content)) {
    touch();
    yield chunk;
  }
}

const stageUnknown = async (
  ctx: Context,
  blobId: string,
  content: ByteInput,
  maxBytes: number,
): Promise<StagedBlob> => {
  const key = blobKey(ctx.actor.tenant.id, blobId);
  const parts = partsOf(content, maxBytes);
  const first = await parts.next();
  const start = first.done ? new Uint8Array() : first.value;
  if (start.byteLength < partBytes) {
    const { digest, head } = await ctx.objects.put(key, start, start.byteLength);
    return { blobId, digest: `sha256:${digest}`, sizeBytes: start.byteLength, head };
  }
  const multipartId = await ctx.objects.createMultipart(key);
  try {
    return { blobId, ...(await stageParts(ctx, key, multipartId, start, parts)) };
  } catch (error) {
    ctx.after(ctx.objects.abortMultipart(key, multipartId));
    throw error;
  }
};

const stageParts = async (
  ctx: Context,
  key: string,
  multipartId: string,
  start: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): Promise<Omit<StagedBlob, 'blobId'>> => {
  const digest = new crypto.DigestStream('SHA-256');
  const hasher = digest.getWriter();
  const done: { part: number; etag: string }[] = [];
  let head: Uint8Array = new Uint8Array();
  let sizeBytes = 0;
  const add = async (bytes: Uint8Array) => {
    const part = done.length + 1;
    const [stored] = await Promise.all([
      ctx.objects.putPart(key, multipartId, part, bytes, bytes.byteLength),
      hasher.write(bytes),
    ]);
    if (part === 1) head = stored.head;
    done.push({ part, etag: stored.etag });
    sizeBytes += bytes.byteLength;
  };
  await add(start);
  for await (const bytes of rest) await add(bytes);
  await hasher.close();
  await ctx.objects.completeMultipart(key, multipartId, done);
  const hash = new Uint8Array(await digest.digest);
  return {
    digest: `sha256:${toHex(hash)}`,
    sizeBytes,
    head,
  };
};

/** Pieces of partBytes, the last one smaller; always in the same buffer. */
async function* partsOf(content: ByteInput, maxBytes: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(partBytes);
  let filled = 0;
  let seenBytes = 0;
  for await (const chunk of chunksOf(content)) {
    seenBytes += chunk.byteLength;
    if (seenBytes > maxBytes) throw tooLarge(maxBytes);
    for (let at = 0; at < chunk.byteLength;) {
      const taken = chunk.subarray(at, at + partBytes - filled);
      buffer.set(taken, filled);
      filled += taken.byteLength;
      at += taken.byteLength;
      if (filled < partBytes) continue;
      yield buffer;
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
