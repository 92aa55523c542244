import { sandboxOfToken } from '../access/sandbox-tokens.ts';
import { keyPrefixes } from '../keys/key-format.ts';
import type { Signer } from '../keys/signer.ts';

const keyPattern = new RegExp(`(?:${keyPrefixes.join('|')})[0-9a-f]{40}(?![0-9a-f])`);
const tokenPattern = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g;
const basicPattern = /^basic\s+([A-Za-z0-9+/=_-]+)\s*$/i;
/** More tokens than this in one value are nobody's mistake. */
const tokensLookedAt = 16;

/** Credentials of ours, as they may turn up in a request that goes on to a sandbox. */
export class OwnCredentials {
  readonly #signer: Signer;
  readonly #adminApiKey: string;

  constructor(signer: Signer, adminApiKey: string) {
    this.#signer = signer;
    this.#adminApiKey = adminApiKey;
  }

  /**
   * Whether a header's value holds one, wherever in it: an API key of any prefix, the administrator's, or a token of any sandbox. Credentials
   * of the server inside, which look like whatever they like, are none.
   */
  async heldBy(value: string): Promise<boolean> {
    for (const text of [value, basicOf(value)]) {
      if (keyPattern.test(text) || text.includes(this.#adminApiKey)) return true;
      for (const [token] of [...text.matchAll(tokenPattern)].slice(0, tokensLookedAt)) {
        if (await isToken(this.#signer, token)) return true;
      }
    }
    return false;
  }
}

const isToken = async (signer: Signer, token: string): Promise<boolean> =>
  (await sandboxOfToken(signer, 'envd', token)) !== undefined ||
  (await sandboxOfToken(signer, 'traffic', token)) !== undefined;

/** What `Authorization: Basic` carries. */
const basicOf = (value: string): string => {
  const [, encoded] = basicPattern.exec(value) ?? [];
  if (encoded === undefined) return '';
  try {
    return atob(encoded.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    return '';
  }
};
