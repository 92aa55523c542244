import { createHash } from 'node:crypto';
import { chunksOf, type ByteInput } from '../../../worker/core/formats/byte-source.ts';
import { ServiceError } from '../../../worker/core/errors.ts';
import type { ObjectStore } from '../../../worker/core/object-store.ts';

const collect = async (content: ByteInput): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(content)) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
};

/** An object store in memory, for verbs whose rows are what is tested; the real one is under test in test/disks. */
export const memoryStore = () => {
  const objects = new Map<string, Uint8Array>();
  const parts = new Map<string, Map<number, Uint8Array>>();
  const taken = async (content: ByteInput, sizeBytes: number) => {
    const bytes = await collect(content);
    if (bytes.byteLength !== sizeBytes) throw new ServiceError('invalid_argument', 'not as long as it was said to be');
    const digest = createHash('sha256').update(bytes).digest('hex');
    return { bytes, stored: { digest, head: bytes.slice(0, 4100) } };
  };
  const store: ObjectStore = {
    put: async (key, content, sizeBytes) => {
      const { bytes, stored } = await taken(content, sizeBytes);
      objects.set(key, bytes);
      return stored;
    },
    get: async (key, range) => {
      const bytes = objects.get(key);
      if (!bytes) return undefined;
      const part = range ? bytes.slice(range.offset, range.offset + range.length) : bytes;
      return { sizeBytes: bytes.byteLength, body: new Blob([part.slice()]).stream() };
    },
    delete: async (keys) => {
      for (const key of keys) objects.delete(key);
    },
    list: async () => ({
      objects: [...objects].map(([key, bytes]) => ({ key, sizeBytes: bytes.byteLength, uploadedAtMs: 0 })),
      cursor: undefined,
    }),
    createMultipart: async (key) => {
      parts.set(key, new Map());
      return key;
    },
    putPart: async (key, _multipartId, part, content, sizeBytes) => {
      const { bytes, stored } = await taken(content, sizeBytes);
      parts.get(key)?.set(part, bytes);
      return { ...stored, etag: stored.digest };
    },
    completeMultipart: async (key, _multipartId, done) => {
      const bytes = Buffer.concat(done.map(({ part }) => parts.get(key)?.get(part) ?? new Uint8Array()));
      objects.set(key, bytes);
      parts.delete(key);
      return { sizeBytes: bytes.byteLength };
    },
    abortMultipart: async (key) => void parts.delete(key),
    presign: async () => undefined,
  };
  return { store, objects, parts };
};
