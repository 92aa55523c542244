import type { ByteInput } from './formats/byte-source.ts';

export interface Stored {
  /** SHA-256 of all that was stored, hex. */
  digest: string;
  /** The first bytes (up to 4,100), to tell the content's type from. */
  head: Uint8Array;
}

export interface StoredObject {
  /** Of the whole object. */
  sizeBytes: number;
  body: ReadableStream<Uint8Array>;
}

/**
 * Bytes that persist. Implemented over R2. Writes are all or nothing: content that fails, or is not `sizeBytes` long, leaves no object
 * and rejects. A store that is away rejects with unavailable.
 */
export interface ObjectStore {
  put(key: string, content: ByteInput, sizeBytes: number): Promise<Stored>;
  /** `range` must lie inside of the object. */
  get(key: string, range?: { offset: number; length: number }): Promise<StoredObject | undefined>;
  /** At most 1,000 keys; what is missing is no error. */
  delete(keys: readonly string[]): Promise<void>;
  list(cursor: string | undefined, limit: number): Promise<ObjectPage>;

  createMultipart(key: string): Promise<string>;
  /** All parts but the last have the same size, at least 5 MiB (R2). */
  putPart(
    key: string,
    multipartId: string,
    part: number,
    content: ByteInput,
    sizeBytes: number,
  ): Promise<Stored & { etag: string }>;
  /** Rejects with conflict when the parts are not those that it has, or not of equal sizes. */
  completeMultipart(
    key: string,
    multipartId: string,
    parts: readonly { part: number; etag: string }[],
  ): Promise<{ sizeBytes: number }>;
  /** One that is gone already is no error. */
  abortMultipart(key: string, multipartId: string): Promise<void>;

  /** A URL for the client's own way to the store; undefined where no S3 credentials are configured. */
  presign(request: PresignRequest): Promise<string | undefined>;
}

export interface ObjectPage {
  objects: { key: string; sizeBytes: number; uploadedAtMs: number }[];
  cursor: string | undefined;
}

export interface PresignRequest {
  method: 'GET' | 'PUT';
  key: string;
  expiresSeconds: number;
  /** PUT: one part of a multipart upload, of exactly so many bytes. */
  part?: { multipartId: string; part: number; sizeBytes: number };
  /** GET: what the answer's headers say. */
  contentType?: string;
  contentDisposition?: string;
}
