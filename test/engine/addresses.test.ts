import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Addresses, divide, ownRange } from '../../runner/engine/addresses.ts';
import { covers, parseNetwork, printNetwork, sizeOf } from '../../runner/engine/ipv4.ts';

const subnets = fc
  .record({ base: fc.nat({ max: 0xffff_ffff }), length: fc.integer({ min: 8, max: 32 }) })
  .map(({ base, length }) =>
    printNetwork(parseNetwork(printNetwork({ base: base >>> 0, length })) ?? { base, length }),
  );

test('a network is divided into the gateway, our half and the engine’s; none is in another, all are in the network', () => {
  fc.assert(
    fc.property(subnets, (subnet) => {
      const whole = parseNetwork(subnet);
      const parts = divide(subnet);
      if (whole === undefined) throw new Error('a subnet that is none');
      expect(parts === undefined).toBe(whole.length > 28);
      if (parts === undefined) return;
      const range = ownRange(subnet, parts.engineRange);
      const engines = parseNetwork(parts.engineRange);
      const gateway = parseNetwork(parts.gateway);
      if (!range || !engines || !gateway) throw new Error('a part is missing');
      expect(covers(whole, engines) && covers(whole, gateway)).toBe(true);
      expect(gateway.base).toBeGreaterThan(whole.base); // the network's own
      expect(range.first).toBe(gateway.base + 1);
      expect(range.last).toBe(engines.base - 1);
      expect(engines.base + sizeOf(engines)).toBe(whole.base + sizeOf(whole));
    }),
  );
});

test('one that the engine was not told to divide has no half of ours', () => {
  expect(ownRange('172.20.0.0/16', undefined)).toBeUndefined();
  expect(ownRange('fd00::/64', undefined)).toBeUndefined();
  expect(ownRange('172.20.0.0/16', '172.20.0.0/24')).toBeUndefined();
});

test('an address has one container at a time, until it is forgotten; then others come first', () => {
  const addresses = new Addresses();
  expect([addresses.areOurs, addresses.reserve()]).toEqual([false, undefined]);
  addresses.assign('kept by an earlier life', '10.0.0.3');
  addresses.use(ownRange('10.0.0.0/28', '10.0.0.8/29'));
  const given = Array.from({ length: 5 }, () => addresses.reserve());
  expect(given).toEqual(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.7']);
  expect(() => addresses.reserve()).toThrow('no address left');
  addresses.assign('a', '10.0.0.4');
  addresses.release('10.0.0.5');
  addresses.forget('a');
  expect(addresses.of('a')).toBeUndefined();
  expect(new Set([addresses.reserve(), addresses.reserve()])).toEqual(new Set(['10.0.0.4', '10.0.0.5']));
  addresses.shun('kept by an earlier life');
  expect(() => addresses.reserve()).toThrow('no address left');
});
