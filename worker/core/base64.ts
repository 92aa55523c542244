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

type Base64Engine = typeof Uint8Array & { fromBase64?: (text: string) => Uint8Array };
const engine: Base64Engine = Uint8Array;

/** Either alphabet, with its padding or without; undefined for what is neither. */
export const decodeBase64 = (text: string): Uint8Array | undefined => {
  const standard = /[-_]/.test(text) ? text.replaceAll('-', '+').replaceAll('_', '/') : text;
  try {
    return engine.fromBase64
      ? engine.fromBase64(standard)
      : Uint8Array.from(atob(standard), (unit) => unit.charCodeAt(0));
  } catch {
    return undefined;
  }
};
