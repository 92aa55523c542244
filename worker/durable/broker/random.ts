import { toHex } from '../../core/hex.ts';

/** Taken from the runtime at once: asking it for each id costs more than all else that is done for one. */
const drawn = new Uint8Array(1024);
let usedBytes = drawn.byteLength;

/** Of up to 1024 bytes, each used once. */
export const randomHex = (bytes: number): string => {
  if (usedBytes + bytes > drawn.byteLength) {
    crypto.getRandomValues(drawn);
    usedBytes = 0;
  }
  usedBytes += bytes;
  return toHex(drawn.subarray(usedBytes - bytes, usedBytes));
};
