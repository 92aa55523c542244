import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withoutNodeDevice } from '../../runner/engine/checkpoint-mounts.ts';

const magic = Buffer.from('1943565428395655', 'hex');

const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) + 128);
  }
};
const number = (field: number, value: number) => Buffer.concat([varint(field * 8), varint(value)]);
const text = (field: number, value: string) =>
  Buffer.concat([varint(field * 8 + 2), varint(Buffer.byteLength(value)), Buffer.from(value)]);
const listOf = (entries: Buffer[][]) =>
  Buffer.concat([
    magic,
    ...entries.flatMap((fields) => {
      const length = Buffer.alloc(4);
      const entry = Buffer.concat(fields);
      length.writeUInt32LE(entry.length);
      return [length, entry];
    }),
  ]);

const external = text(18, '/dev/null');
const field = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.maxSafeNat()).map(([name, value]) => number(name, value)),
  fc
    .tuple(
      fc.integer({ min: 1, max: 40 }),
      fc.oneof(fc.string(), fc.constantFrom('/dev/null', '/.glovebox', '/etc/hosts')),
    )
    .filter(([name, value]) => name !== 18 || value !== '/dev/null')
    .map(([name, value]) => text(name, value)),
);

test('of every entry nothing goes but that it comes from the node’s /dev/null', () => {
  const entry = fc.array(fc.oneof(field, fc.constant(external)), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      const kept = entries.map((fields) => fields.filter((one) => one !== external));
      expect(withoutNodeDevice(listOf(entries))).toEqual(listOf(kept));
    }),
  );
});

test('what is cut short anywhere, or begins as something else, is refused', () => {
  const list = listOf([[number(1, 5), text(7, '/proc/keys'), external], [text(7, '/')]]);
  const whole = [8, 8 + 4 + list.readUInt32LE(8), list.length]; // between two entries it is a list
  for (const length of whole) withoutNodeDevice(list.subarray(0, length));
  const cuts = Array.from({ length: list.length }, (_, length) => length).filter((length) => !whole.includes(length));
  for (const length of cuts) expect(() => withoutNodeDevice(list.subarray(0, length))).toThrow('not readable');
  expect(() => withoutNodeDevice(Buffer.concat([Buffer.alloc(4), list.subarray(4)]))).toThrow('does not begin');
  expect(() => withoutNodeDevice(listOf([[Buffer.from([0x0d, 0, 0, 0, 0])]]))).toThrow('wire type 5');
});
