import { encodeBase64 } from '../base64.ts';

/**
 * Each snapshot's own key, of 256 bits: HMAC-SHA256 of its id under a key that is derived from the deployment's pepper. Nobody stores it;
 * it travels in the jobs that need it. Who has the bucket alone reads nothing, nor who has the database beside it.
 */
export class SnapshotKeys {
  readonly #pepper: string;
  #root: Promise<CryptoKey> | undefined;

  constructor(pepper: string) {
    this.#pepper = pepper;
  }

  /** Base64. */
  async keyOf(snapshotId: string): Promise<string> {
    this.#root ??= this.#derive();
    return encodeBase64(new Uint8Array(await crypto.subtle.sign('HMAC', await this.#root, encode(snapshotId))));
  }

  async #derive(): Promise<CryptoKey> {
    const pepper = await importKey(encode(this.#pepper));
    return importKey(await crypto.subtle.sign('HMAC', pepper, encode('snapshots')));
  }
}

const encode = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(new TextEncoder().encode(text));
const importKey = (bytes: BufferSource): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
