import { sameBytes } from '../same-bytes.ts';

/** What a signature is for: one made for one purpose is worth nothing for another. */
export type SigningPurpose = 'material' | 'envd' | 'traffic' | 'preview';

const macBytes = 16;

/** Signs URLs: HMAC-SHA256 with a key of its own for each purpose, derived from the deployment's pepper, cut to 128 bits. */
export class Signer {
  readonly #pepper: string;
  readonly #keys = new Map<SigningPurpose, Promise<CryptoKey>>();

  constructor(pepper: string) {
    this.#pepper = pepper;
  }

  async sign(purpose: SigningPurpose, message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const mac = await crypto.subtle.sign('HMAC', await this.#key(purpose), message);
    return new Uint8Array(mac, 0, macBytes);
  }

  async verify(purpose: SigningPurpose, message: Uint8Array<ArrayBuffer>, mac: Uint8Array): Promise<boolean> {
    return sameBytes(await this.sign(purpose, message), mac);
  }

  #key(purpose: SigningPurpose): Promise<CryptoKey> {
    let key = this.#keys.get(purpose);
    if (!key) {
      key = this.#derive(purpose);
      this.#keys.set(purpose, key);
    }
    return key;
  }

  async #derive(purpose: SigningPurpose): Promise<CryptoKey> {
    const root = await importKey(new TextEncoder().encode(this.#pepper));
    return importKey(await crypto.subtle.sign('HMAC', root, new TextEncoder().encode(`url:${purpose}`)));
  }
}

const importKey = (bytes: BufferSource): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
