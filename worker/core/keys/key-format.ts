/** A key is a prefix, which says nothing but which client it suits, and a body, which identifies it under any of them. */
export const keyPrefixes = ['gb_', 'e2b_', 'sk-ac-', 'sk-sb-'] as const;

const bodyPattern = /^[0-9a-f]{40}$/;

export const bodyOfKey = (credential: string): string | undefined => {
  const prefix = keyPrefixes.find((candidate) => credential.startsWith(candidate));
  if (prefix === undefined) return undefined;
  const body = credential.slice(prefix.length);
  return bodyPattern.test(body) ? body : undefined;
};

export const nativeKey = (body: string): string => `gb_${body}`;
export const hintOf = (body: string): string => body.slice(-4);
