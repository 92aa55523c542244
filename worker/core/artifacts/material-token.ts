import { fromHex, toHex } from '../hex.ts';
import type { Signer } from '../keys/signer.ts';

/**
 * A right to read one artifact, without a key and without a row: artifact id (12 bytes), expiry in Unix seconds (4, unsigned, until 2106), and
 * the MAC of these (16), all in hex. One spelling only: lower case.
 */
export interface Material {
  /** 24 hex. */
  artifactId: string;
  expiresAtSeconds: number;
}

const idBytes = 12;
const messageBytes = 16;
const tokenShape = /^[0-9a-f]{64}$/;
const idShape = /^[0-9a-f]{24}$/;
/** What four bytes can say. */
const lastSeconds = 0xffffffff;

export const signMaterial = async (signer: Signer, { artifactId, expiresAtSeconds }: Material): Promise<string> => {
  if (!idShape.test(artifactId)) throw new Error('an artifact id has 24 hex digits');
  if (!Number.isInteger(expiresAtSeconds) || expiresAtSeconds < 0 || expiresAtSeconds > lastSeconds) {
    throw new Error('an expiry is a whole number of Unix seconds, in four bytes');
  }
  const message = new Uint8Array(messageBytes);
  message.set(fromHex(artifactId));
  new DataView(message.buffer).setUint32(idBytes, expiresAtSeconds);
  return toHex(message) + toHex(await signer.sign('material', message));
};

/** Undefined for what we did not sign. Whether it has expired is the caller's to ask. */
export const readMaterial = async (signer: Signer, token: string): Promise<Material | undefined> => {
  if (!tokenShape.test(token)) return undefined;
  const bytes = fromHex(token);
  const message = bytes.slice(0, messageBytes);
  if (!(await signer.verify('material', message, bytes.subarray(messageBytes)))) return undefined;
  return {
    artifactId: toHex(message.subarray(0, idBytes)),
    expiresAtSeconds: new DataView(message.buffer).getUint32(idBytes),
  };
};
