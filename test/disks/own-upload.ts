import { createHash, randomBytes } from 'node:crypto';
import { errorOf } from '../exec/calls.ts';
import type { OwnDisk } from './own-disk.ts';

export const MIB = 1024 * 1024;
/** The smallest that R2 takes. */
export const PART = 5 * MIB;

export interface ArtifactView {
  path: string;
  sizeBytes: number;
  etag: string;
  contentType: string;
  metadata: Record<string, unknown>;
}

export interface UploadView {
  uploadId: string;
  state: string;
  partBytes: number;
  parts: { part: number; sizeBytes: number; sha256: string }[];
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Parts of PART bytes and a shorter last one. */
export const randomParts = (count: number): Buffer<ArrayBuffer>[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(randomBytes(index === count - 1 ? 1000 : PART)));

/** One upload of a disk's. */
export const beginUpload = async (disk: OwnDisk, body: Record<string, unknown>) => {
  const begun = await disk.json<UploadView>('/uploads', {
    method: 'POST',
    json: { partBytes: PART, ...body },
    status: 201,
  });
  const base = `/uploads/${begun.uploadId}`;
  const putPart = (part: number, bytes: BodyInit, init: RequestInit & { duplex?: 'half' } = {}) =>
    disk.api(`${base}/parts/${part}`, { method: 'PUT', body: bytes, ...init });
  const complete = (parts: unknown, headers: Record<string, string> = {}) =>
    disk.api(`${base}/complete`, { method: 'POST', json: { parts }, headers });
  return {
    id: begun.uploadId,
    get: () => disk.json<UploadView>(base),
    putPart,
    put: async (part: number, bytes: BodyInit): Promise<void> => {
      const response = await putPart(part, bytes);
      const text = await response.text();
      if (response.status !== 200) throw new Error(`part ${part}: ${response.status} ${text}`);
    },
    complete,
    completed: async (parts: unknown, headers?: Record<string, string>): Promise<ArtifactView> => {
      const response = await complete(parts, headers);
      if (response.status !== 200) throw new Error(`complete: ${response.status} ${await response.text()}`);
      return (await response.json()) as ArtifactView;
    },
    refused: async (parts: unknown, headers?: Record<string, string>) => errorOf(await complete(parts, headers)),
    /** Of parts with these sizes, from the first on. */
    urls: (sizesBytes: number[], more: Record<string, unknown> = {}) =>
      disk.json<{ urls: { part: number; url: string }[]; expiresAt: string }>(`${base}/urls`, {
        method: 'POST',
        json: { parts: sizesBytes.map((sizeBytes, index) => ({ part: index + 1, sizeBytes })), ...more },
      }),
    urlsRefused: async (...parts: { part: number; sizeBytes: number }[]) =>
      errorOf(await disk.api(`${base}/urls`, { method: 'POST', json: { parts } })),
    abort: () => disk.api(base, { method: 'DELETE' }),
  };
};

export const contentOf = async (disk: OwnDisk, path: string): Promise<Buffer> => {
  const response = await disk.api(`/content?path=${encodeURIComponent(path)}`);
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
};

/** What the tenant's limit counts. */
export const storedBytes = async (me: () => Promise<unknown>): Promise<number> => {
  const { usage } = (await me()) as { usage: { storageBytes: number } };
  return usage.storageBytes;
};
