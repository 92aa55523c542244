import { describe, expect, test } from 'vitest';
import { findFrameFault, frameRules } from '../../runner/engine/frame-rules.ts';

const id = '0123456789ab';
const subnet = '172.20.0.0/16';
const chain = `GBX-${id}-FRAMES`;

/** As `ebtables -L` prints it; the older program adds a space at the end of a rule. */
const listed = (chains: Record<string, string[]>, end = ''): string =>
  [
    'Bridge table: filter',
    ...Object.entries(chains).map(
      ([name, rules]) =>
        `\nBridge chain: ${name}, entries: ${rules.length}, policy: ACCEPT\n${rules.map((rule) => `${rule}${end}`).join('\n')}`,
    ),
  ].join('\n');

describe('the filter of bridged frames', () => {
  test('drops what is sent from or to any of the subnet’s addresses, ARP included', () => {
    expect(frameRules(subnet)).toEqual([
      '-p IPv4 --ip-src 172.20.0.0/16 -j DROP',
      '-p IPv4 --ip-dst 172.20.0.0/16 -j DROP',
      '-p ARP --arp-ip-src 172.20.0.0/16 -j DROP',
      '-p ARP --arp-ip-dst 172.20.0.0/16 -j DROP',
    ]);
  });

  const others = ['-j GBX-ba9876543210-FRAMES'];
  test.each(['', ' '])('holds behind other installations’ only (a line ends with "%s")', (end) => {
    const whole = listed({ INPUT: [], FORWARD: [...others, `-j ${chain}`], [chain]: frameRules(subnet) }, end);
    expect(findFrameFault(id, subnet, whole)).toBeUndefined();
  });

  const faults: [string, Record<string, string[]>, RegExp][] = [
    ['nothing is there', { FORWARD: [] }, /there is no/],
    ['nothing leads there', { FORWARD: others, [chain]: frameRules(subnet) }, /does not lead/],
    ['it was flushed', { FORWARD: [`-j ${chain}`], [chain]: [] }, /differ/],
    ['it is of another subnet', { FORWARD: [`-j ${chain}`], [chain]: frameRules('172.21.0.0/16') }, /differ/],
    ['something accepts before', { FORWARD: ['-j ACCEPT', `-j ${chain}`], [chain]: frameRules(subnet) }, /come before/],
  ];
  test.each(faults)('a fault is seen: %s', (_what, chains, fault) => {
    expect(findFrameFault(id, subnet, listed(chains))).toMatch(fault);
  });
});
