import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clientNetworkOf } from '../../worker/core/access/client-network.ts';

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3::', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['', ''],
])('%s is of %s', (address, network) => {
  expect(clientNetworkOf(address)).toBe(network);
});

test('addresses are of one network exactly where their first 64 bits are the same, however they are written', () => {
  const group = fc.integer({ min: 0, max: 0xffff });
  const half = fc.array(group, { minLength: 4, maxLength: 4 });
  const write = (groups: number[], padded: boolean) =>
    groups.map((value) => value.toString(16).padStart(padded ? 4 : 1, '0')).join(':');
  fc.assert(
    fc.property(half, half, half, half, (network, host, otherNetwork, otherHost) => {
      const one = clientNetworkOf(write([...network, ...host], false));
      expect(clientNetworkOf(write([...network, ...otherHost], true).toUpperCase())).toBe(one);
      const same = network.every((value, at) => value === otherNetwork[at]);
      expect(clientNetworkOf(write([...otherNetwork, ...host], false)) === one).toBe(same);
    }),
  );
});
