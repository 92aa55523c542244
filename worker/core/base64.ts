/** Arguments of one call; engines limit them to some tens of thousands. */
const chunkBytes = 8192;

/** The engine's own (ECMAScript 2026) is ten times as fast. workerd has it; Node 24, which runs the tests, has not. */
type WithBase64 = Uint8Array & { toBase64?: () => string };

export const encodeBase64 = (bytes: WithBase64): string => {
  if (bytes.toBase64) return bytes.toBase64();
  let binary = '';
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    binary += String.fromCharCode(...bytes.subarray(start, start + chunkBytes));
  }
  return btoa(binary);
};
