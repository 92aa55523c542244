import { ServiceError } from '../errors.ts';
import type { Signer } from '../keys/signer.ts';
import type { Context } from '../ports.ts';
import { getSandbox } from '../sandboxes/get-sandbox.ts';
import { limits } from './limits.ts';
import { isPort } from './sandbox-host.ts';

/**
 * A right to reach one port of one sandbox until some time, without a key and without a row: what stands after port and id in a host name.
 * Expiry in Unix seconds (4 bytes, unsigned) and the first 10 bytes of a MAC, as 23 characters that a DNS label can have. It ends with its sandbox,
 * whose id never comes again.
 */
const suffixShape = /^[a-z2-7]{23}$/;
const macBytes = 10;
const expiryBytes = 4;
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

export interface PreviewPlace {
  sandboxId: string;
  port: number;
}

export interface Preview {
  port: number;
  suffix: string;
  expiresAtMs: number;
}

/** `none`: it is not meant as one (old clients put a client id there). */
export type PreviewVerdict = 'none' | 'valid' | 'expired' | 'forged';

/** expiresInSeconds past previewMaxSeconds is cut to it. Throws not_found, sandbox_ended, invalid_argument. */
export const createPreview = async (
  ctx: Context,
  sandboxId: string,
  port: number,
  expiresInSeconds: number,
): Promise<Preview> => {
  if (!isPort(port) || port === limits.envdPort) {
    throw new ServiceError('invalid_argument', `port is 1 to ${limits.portMax}, and not ${limits.envdPort}.`);
  }
  const { state } = await getSandbox(ctx, sandboxId);
  if (state === 'ended') throw new ServiceError('sandbox_ended', 'The sandbox has ended.');
  const seconds = Math.floor(ctx.now() / 1000) + Math.min(expiresInSeconds, limits.previewMaxSeconds);
  return { port, suffix: await signPreview(ctx.signer, { sandboxId, port }, seconds), expiresAtMs: seconds * 1000 };
};

export const signPreview = async (signer: Signer, place: PreviewPlace, expiresAtSeconds: number): Promise<string> => {
  const bytes = new Uint8Array(expiryBytes + macBytes);
  new DataView(bytes.buffer).setUint32(0, expiresAtSeconds);
  bytes.set(await macOf(signer, place, expiresAtSeconds), expiryBytes);
  return toBase32(bytes);
};

export const judgePreview = async (
  signer: Signer,
  place: PreviewPlace,
  suffix: string | undefined,
  nowMs: number,
): Promise<PreviewVerdict> => {
  if (suffix === undefined || !suffixShape.test(suffix)) return 'none';
  const bytes = fromBase32(suffix);
  const expiresAtSeconds = new DataView(bytes.buffer).getUint32(0);
  // As text again, so that the bits that base32 has to spare cannot spell one signature twice.
  const wanted = await signPreview(signer, place, expiresAtSeconds);
  let difference = 0;
  for (let at = 0; at < wanted.length; at++) difference |= wanted.charCodeAt(at) ^ suffix.charCodeAt(at);
  if (difference !== 0) return 'forged';
  return expiresAtSeconds * 1000 > nowMs ? 'valid' : 'expired';
};

const macOf = async (
  signer: Signer,
  { sandboxId, port }: PreviewPlace,
  expiresAtSeconds: number,
): Promise<Uint8Array> => {
  const message = Uint8Array.from(new TextEncoder().encode(`${sandboxId}:${port}:${expiresAtSeconds}`));
  return (await signer.sign('preview', message)).subarray(0, macBytes);
};

/** RFC 4648 in lower case, without padding. */
const toBase32 = (bytes: Uint8Array): string => {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + alphabet[(held << (5 - bits)) & 31];
};

const fromBase32 = (text: string): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const character of text) {
    held = (held << 5) | alphabet.indexOf(character);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = (held >> bits) & 255;
    at += 1;
    held &= (1 << bits) - 1;
  }
  return bytes;
};
