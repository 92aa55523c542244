import { toHex } from '../core/hex.ts';
import { chunksOf, streamOf, type ByteInput } from '../core/formats/byte-source.ts';
import { ServiceError } from '../core/errors.ts';
import type { ObjectPage, ObjectStore, PresignRequest, Stored, StoredObject } from '../core/object-store.ts';
import type { Env, Settings } from '../env.ts';
import { presigner } from './presigner.ts';

/**
 * How much of an object that was stored in parts is asked for at once. The local R2 sends such an object whatever its reader takes: a download
 * of 1 GiB made workerd grow by 1.1 GiB (3.5 GB were seen), in steps by 0.2 GiB.
 */
const stepBytes = 32 * 1024 * 1024;

/** Such an object's etag ends with the number of its parts. */
const isInParts = ({ etag }: R2Object): boolean => /-\d+$/.test(etag);

/** What telling a content's type takes. */
const headBytes = 4100;

const hex = (bytes: ArrayBuffer): string => toHex(new Uint8Array(bytes));

const away = (cause: unknown): ServiceError =>
  cause instanceof ServiceError
    ? cause
    : new ServiceError('unavailable', 'The object store did not take this. Try again.', {
        cause,
        retryAfterSeconds: 1,
      });

/** R2. Holds nothing of a request: one serves the isolate. */
class R2Store implements ObjectStore {
  readonly #bucket: R2Bucket;
  readonly #presign: ((request: PresignRequest) => Promise<string>) | undefined;

  constructor(bucket: R2Bucket, presign: ((request: PresignRequest) => Promise<string>) | undefined) {
    this.#bucket = bucket;
    this.#presign = presign;
  }

  async put(key: string, content: ByteInput, sizeBytes: number): Promise<Stored> {
    return (await this.#store(content, sizeBytes, (body) => this.#bucket.put(key, body))).stored;
  }

  async putPart(...[key, multipartId, part, content, sizeBytes]: Parameters<ObjectStore['putPart']>) {
    const upload = this.#bucket.resumeMultipartUpload(key, multipartId);
    const { stored, result } = await this.#store(content, sizeBytes, (body) => upload.uploadPart(part, body));
    return { ...stored, etag: result.etag };
  }

  async get(key: string, range?: { offset: number; length: number }): Promise<StoredObject | undefined> {
    try {
      const object = await this.#bucket.get(key, range === undefined ? {} : { range });
      if (object === null) return undefined;
      const { offset, length } = range ?? { offset: 0, length: object.size };
      if (length <= stepBytes || !isInParts(object)) return { sizeBytes: object.size, body: object.body };
      await object.body.cancel();
      return { sizeBytes: object.size, body: streamOf(this.#steps(key, offset, length)) };
    } catch (error) {
      throw away(error);
    }
  }

  async *#steps(key: string, offset: number, length: number): AsyncGenerator<Uint8Array, void> {
    const end = offset + length;
    for (let at = offset; at < end; at += stepBytes) {
      const step = await this.#bucket.get(key, { range: { offset: at, length: Math.min(stepBytes, end - at) } });
      if (step === null) throw new Error(`the object ${key} went away while it was read`);
      yield* chunksOf(step.body);
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.#bucket.delete([...keys]);
  }

  async list(cursor: string | undefined, limit: number): Promise<ObjectPage> {
    const page = await this.#bucket.list({ limit, ...(cursor === undefined ? {} : { cursor }) });
    return {
      objects: page.objects.map(({ key, size, uploaded }) => ({
        key,
        sizeBytes: size,
        uploadedAtMs: uploaded.getTime(),
      })),
      cursor: page.truncated ? page.cursor : undefined,
    };
  }

  async createMultipart(key: string): Promise<string> {
    try {
      return (await this.#bucket.createMultipartUpload(key)).uploadId;
    } catch (error) {
      throw away(error);
    }
  }

  async completeMultipart(...[key, multipartId, parts]: Parameters<ObjectStore['completeMultipart']>) {
    const upload = this.#bucket.resumeMultipartUpload(key, multipartId);
    try {
      const { size } = await upload.complete(parts.map(({ part, etag }) => ({ partNumber: part, etag })));
      return { sizeBytes: size };
    } catch (error) {
      throw isUnfit(error) ? unfitParts(error) : away(error);
    }
  }

  async abortMultipart(key: string, multipartId: string): Promise<void> {
    try {
      await this.#bucket.resumeMultipartUpload(key, multipartId).abort();
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  async presign(request: PresignRequest): Promise<string | undefined> {
    return this.#presign?.(request);
  }

  async #store<T>(
    content: ByteInput,
    sizeBytes: number,
    take: (body: ReadableStream<Uint8Array> | Uint8Array) => Promise<T>,
  ): Promise<{ stored: Stored; result: T }> {
    if (content instanceof Uint8Array) return storeBytes(content, sizeBytes, take);
    return storeStream(content, sizeBytes, take);
  }
}

/** R2's own word for it: 10024, «The specified multipart upload does not exist». */
const isGone = (error: unknown): boolean => error instanceof Error && error.message.includes('(10024)');

/** Parts that R2 does not put together: 10011 too small, 10025 not what it has, 10048 of unequal sizes. */
const isUnfit = (error: unknown): boolean => error instanceof Error && /\((10011|10025|10048)\)/.test(error.message);

const unfitParts = (cause: unknown): ServiceError =>
  new ServiceError(
    'conflict',
    'The object store has other parts than these, or they are not all of one size: write them again.',
    { cause },
  );

const storeBytes = async <T>(
  bytes: Uint8Array,
  sizeBytes: number,
  take: (body: Uint8Array) => Promise<T>,
): Promise<{ stored: Stored; result: T }> => {
  if (bytes.byteLength !== sizeBytes) throw notAsLong();
  const [digest, result] = await Promise.all([
    crypto.subtle.digest('SHA-256', bytes as BufferSource),
    take(bytes).catch((error: unknown) => {
      throw away(error);
    }),
  ]);
  return { stored: { digest: hex(digest), head: bytes.slice(0, headBytes) }, result };
};

/** R2 needs to know the length beforehand: a content that ends early fails there, and one that does not end is cut off here. */
const storeStream = async <T>(
  content: Exclude<ByteInput, Uint8Array>,
  sizeBytes: number,
  take: (body: ReadableStream<Uint8Array>) => Promise<T>,
): Promise<{ stored: Stored; result: T }> => {
  const { readable, writable } = new FixedLengthStream(sizeBytes);
  const digest = new crypto.DigestStream('SHA-256');
  const taken = take(readable);
  // It is waited for below; a failure before that must not count as unhandled.
  taken.catch(() => undefined);
  const head = await pass(content, sizeBytes, writable, digest);
  try {
    const result = await taken;
    return { stored: { digest: hex(await digest.digest), head }, result };
  } catch (error) {
    throw away(error);
  }
};

const pass = async (
  content: Exclude<ByteInput, Uint8Array>,
  sizeBytes: number,
  writable: WritableStream<Uint8Array>,
  digest: WritableStream<Uint8Array>,
): Promise<Uint8Array> => {
  const writer = writable.getWriter();
  const hasher = digest.getWriter();
  const head = new Uint8Array(headBytes);
  let seenBytes = 0;
  try {
    for await (const chunk of chunksOf(content)) {
      if (seenBytes + chunk.byteLength > sizeBytes) throw notAsLong();
      if (seenBytes < headBytes) head.set(chunk.subarray(0, headBytes - seenBytes), seenBytes);
      seenBytes += chunk.byteLength;
      await Promise.all([writer.write(chunk), hasher.write(chunk)]).catch((cause: unknown) => {
        // The store has given up on it; what the content itself says comes from the iteration.
        throw away(cause);
      });
    }
    if (seenBytes < sizeBytes) throw notAsLong();
  } catch (error) {
    // The reason is the caller's to hear; what aborting answers is the same again.
    await Promise.allSettled([writer.abort(error), hasher.abort(error)]);
    throw error;
  }
  await Promise.all([writer.close(), hasher.close()]);
  return head.subarray(0, Math.min(seenBytes, headBytes));
};

const notAsLong = (): ServiceError =>
  new ServiceError(
    'invalid_argument',
    'The body is not as long as it was said to be: it was cut, or its length was wrong.',
  );

export const createObjectStore = (env: Env, settings: Settings): ObjectStore =>
  new R2Store(env.ARTIFACTS, presigner(settings, settings.R2_S3_URL));

export const createSnapshotStore = (env: Env, settings: Settings): ObjectStore =>
  new R2Store(env.SNAPSHOTS, presigner(settings, settings.R2_S3_SNAPSHOTS_URL));
