import { toHex } from './hex.ts';
import { sandboxId } from '../../runner/protocol/ids.ts';

const randomHex = (bytes: number): string => toHex(crypto.getRandomValues(new Uint8Array(bytes)));

/** 32 hex, a UUIDv4 without hyphens. */
const newUuidHex = (): string => crypto.randomUUID().replaceAll('-', '');
const uuidHex = /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/;

export const newDiskId = newUuidHex;
export const newSkillId = newUuidHex;
export const newUserId = newUuidHex;
/** A disk's, a skill's or a user's. */
export const isUuidHex = (id: string): boolean => uuidHex.test(id);
/** 24 hex: short enough to travel inside of a material token. */
export const newArtifactId = (): string => randomHex(12);
export const newBlobId = (): string => randomHex(16);
export const newSnapshotId = (): string => randomHex(16);
export const isSnapshotId = (id: string): boolean => /^[0-9a-f]{32}$/.test(id);
export const newUploadId = (): string => randomHex(16);
export const newEtag = (): string => randomHex(16);

/** 32 hex, a UUIDv4 without hyphens: byte 0 is the cell, byte 1 the Broker shard, 106 bits are random. */
export const newSandboxId = (cellId: string): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = toHex(bytes);
  const variant = ((Number.parseInt(text.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${cellId}${text.slice(2, 12)}4${text.slice(13, 16)}${variant}${text.slice(17)}`;
};

export const isSandboxId = (id: string): boolean => sandboxId.safeParse(id).success;

export const cellOf = (id: string): string => id.slice(0, 2);
/** 0–255: which logical Broker shard answers for the sandbox. */
export const shardOf = (id: string): number => Number.parseInt(id.slice(2, 4), 16);

export const newTenantId = (): string => `ten_${randomHex(12)}`;
export const newKeyId = (): string => `key_${randomHex(12)}`;
/** Chosen at the edge, so that a repeated delivery is recognised. */
export const newProcessId = (): string => randomHex(16);
/** One change of one row: `last_op`. */
export const newOperationId = (): string => randomHex(16);
/** 160 random bits: the part of a key that identifies it under any prefix. */
export const newKeyBody = (): string => randomHex(20);
