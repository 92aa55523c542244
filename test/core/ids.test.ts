import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { sandboxId } from '../../runner/protocol/ids.ts';
import { cellOf, isSandboxId, newKeyBody, newSandboxId, shardOf } from '../../worker/core/ids.ts';
import { bodyOfKey, hintOf, keyPrefixes, nativeKey } from '../../worker/core/keys/key-format.ts';

const byte = fc.integer({ min: 0, max: 255 }).map((value) => value.toString(16).padStart(2, '0'));

test('a sandbox id is a UUIDv4 without hyphens whose first byte is the cell', () => {
  fc.assert(
    fc.property(byte, (cell) => {
      const id = newSandboxId(cell);
      expect(sandboxId.safeParse(id).success).toBe(true);
      expect(cellOf(id)).toBe(cell);
      expect(shardOf(id)).toBeGreaterThanOrEqual(0);
      expect(shardOf(id)).toBeLessThan(256);
    }),
  );
});

test('the random part varies: shards are spread and ids do not repeat', () => {
  const ids = Array.from({ length: 4096 }, () => newSandboxId('00'));
  expect(new Set(ids).size).toBe(ids.length);
  expect(new Set(ids.map(shardOf)).size).toBeGreaterThan(250);
});

test('nothing but an id of ours passes for one', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.uuid({ version: 4 })), (text) => {
      expect(isSandboxId(text)).toBe(false);
      expect(isSandboxId(`sbx_${newSandboxId('00')}`)).toBe(false);
      expect(isSandboxId(newSandboxId('00').toUpperCase())).toBe(false);
    }),
  );
});

test('a key body is 40 lowercase hex and the same key under each prefix', () => {
  const body = newKeyBody();
  expect(body).toMatch(/^[0-9a-f]{40}$/);
  for (const prefix of keyPrefixes) expect(bodyOfKey(`${prefix}${body}`)).toBe(body);
  expect(bodyOfKey(nativeKey(body))).toBe(body);
  expect(body.endsWith(hintOf(body))).toBe(true);
});

test('a credential with another prefix, length or alphabet is no key', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(bodyOfKey(text)).toBeUndefined();
      expect(bodyOfKey(`gb_${text}`)).toBeUndefined();
    }),
  );
  expect(bodyOfKey(newKeyBody())).toBeUndefined();
  expect(bodyOfKey(nativeKey(newKeyBody()).toUpperCase())).toBeUndefined();
});
