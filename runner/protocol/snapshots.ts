import { z } from 'zod';

export const snapshotId = z.string().regex(/^[0-9a-f]{32}$/);
/** 32 bytes, base64. Travels in jobs only. */
export const snapshotKey = z.base64().length(44);

export const snapshotLimits = {
  partsCount: 128,
  partMinBytes: 16 * 1024 * 1024,
} as const;

/** A part of a snapshot's object, where to put it, and how long it is: no other length is taken there. */
export const snapshotPart = z.object({
  part: z.int().min(1).max(snapshotLimits.partsCount),
  url: z.url({ protocol: /^https?$/ }).max(4096),
  sizeBytes: z.int().min(1),
});
export type SnapshotPart = z.infer<typeof snapshotPart>;

/** What a sandbox begins with instead of its template's files alone. */
export const snapshotSource = z.object({
  id: snapshotId,
  key: snapshotKey,
  sizeBytes: z.int().min(1),
  /** Where its object is; null: only on the node that took it. */
  url: z
    .url({ protocol: /^https?$/ })
    .max(4096)
    .nullable(),
  /** The environment of the sandbox that it was taken of goes on in this one. */
  inheritEnvironment: z.boolean(),
});
export type SnapshotSource = z.infer<typeof snapshotSource>;

/** What was taken. */
export const takenSnapshot = z.object({
  /** Of the sealed stream. */
  sizeBytes: z.int().min(1),
  /** Of the layer that it holds. */
  contentBytes: z.int().min(0),
  /** The image under the layer, by the hash of its content. */
  image: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  /** Whether processes go on where they were in what boots from it. */
  memoryKept: z.boolean(),
});
export type TakenSnapshot = z.infer<typeof takenSnapshot>;

export const uploadedSnapshot = z.object({
  parts: z.array(z.object({ part: z.int().min(1), etag: z.string().min(1).max(256) })).max(snapshotLimits.partsCount),
});
export type UploadedSnapshot = z.infer<typeof uploadedSnapshot>;
