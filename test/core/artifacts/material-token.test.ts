import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readMaterial, signMaterial } from '../../../worker/core/artifacts/material-token.ts';
import { Signer } from '../../../worker/core/keys/signer.ts';

const signer = new Signer('a pepper of this test');
const material = fc.record({
  artifactId: fc.stringMatching(/^[0-9a-f]{24}$/),
  expiresAtSeconds: fc.integer({ min: 0, max: 0xffffffff }),
});

test('a token gives back what was signed, for any artifact and any time until 2106', () =>
  fc.assert(
    fc.asyncProperty(material, async (signed) => {
      const token = await signMaterial(signer, signed);
      expect(token).toMatch(/^[0-9a-f]{64}$/);
      expect(await readMaterial(signer, token)).toEqual(signed);
    }),
  ));

test('a token with any one bit flipped is refused', async () => {
  const token = await signMaterial(signer, { artifactId: '0123456789abcdef01234567', expiresAtSeconds: 0xfffffffe });
  for (let bit = 0; bit < 256; bit += 1) {
    const digit = Math.floor(bit / 4);
    const flipped = (Number.parseInt(token.charAt(digit), 16) ^ (1 << (bit % 4))).toString(16);
    expect(await readMaterial(signer, token.slice(0, digit) + flipped + token.slice(digit + 1))).toBeUndefined();
  }
  expect(await readMaterial(signer, token)).toBeDefined();
});

test('a token has one spelling', async () => {
  const token = await signMaterial(signer, { artifactId: 'abcdefabcdefabcdefabcdef', expiresAtSeconds: 1 });
  const others = [token.toUpperCase(), token.slice(1), `${token}00`, ` ${token}`, `${token}\n`, ''];
  for (const other of others) expect(await readMaterial(signer, other)).toBeUndefined();
});

test('another deployment’s token is refused', () =>
  fc.assert(
    fc.asyncProperty(material, fc.string({ minLength: 1 }), async (signed, pepper) => {
      const token = await signMaterial(new Signer(`${pepper}, not this test's`), signed);
      expect(await readMaterial(signer, token)).toBeUndefined();
    }),
  ));

test('what four bytes can’t say is not signed', async () => {
  const artifactId = '0'.repeat(24);
  for (const expiresAtSeconds of [-1, 0.5, Number.NaN, 2 ** 32]) {
    await expect(signMaterial(signer, { artifactId, expiresAtSeconds })).rejects.toThrow(/expiry/);
  }
  await expect(signMaterial(signer, { artifactId: 'short', expiresAtSeconds: 1 })).rejects.toThrow(/artifact id/);
});
