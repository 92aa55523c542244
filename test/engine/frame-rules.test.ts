import { describe, expect, test } from 'vitest';
import { findFrameFault, frameRules } from '../../runner/engine/frame-rules.ts';

const id = '0123456789ab';
const frames = { installationId: id, bridge: `gbx${id}`, subnet: '172.20.0.0/16' };
const chain = `GBX-${id}-FRAMES`;

const [byBridge, byAddress] = frameRules(frames);
const [, elsewhere] = frameRules({ ...frames, subnet: '172.21.0.0/16' });

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
  test('drops what goes from the bridge to itself, or what is sent from or to any of its addresses, ARP included', () => {
    expect(byBridge).toEqual([`--logical-in gbx${id} --logical-out gbx${id} -j DROP`]);
    expect(byAddress).toEqual([
      '-p IPv4 --ip-src 172.20.0.0/16 -j DROP',
      '-p IPv4 --ip-dst 172.20.0.0/16 -j DROP',
      '-p ARP --arp-ip-src 172.20.0.0/16 -j DROP',
      '-p ARP --arp-ip-dst 172.20.0.0/16 -j DROP',
    ]);
  });

  const others = ['-j GBX-ba9876543210-FRAMES'];
  test.each(['', ' '])('holds behind other installations’ only (a line ends with "%s")', (end) => {
    const whole = listed({ INPUT: [], FORWARD: [...others, `-j ${chain}`], [chain]: byAddress }, end);
    expect(findFrameFault(frames, whole)).toBeUndefined();
  });

  test('holds by the bridge as well as by addresses, not by parts of either', () => {
    const withRules = (rules: string[]) => listed({ FORWARD: [`-j ${chain}`], [chain]: rules });
    expect(findFrameFault(frames, withRules(byBridge))).toBeUndefined();
    expect(findFrameFault(frames, withRules(byAddress.slice(1)))).toMatch(/differ/);
  });

  const faults: [string, Record<string, string[]>, RegExp][] = [
    ['nothing is there', { FORWARD: [] }, /there is no/],
    ['nothing leads there', { FORWARD: others, [chain]: byAddress }, /does not lead/],
    ['it was flushed', { FORWARD: [`-j ${chain}`], [chain]: [] }, /differ/],
    ['it is of another subnet', { FORWARD: [`-j ${chain}`], [chain]: elsewhere }, /differ/],
    ['something accepts before', { FORWARD: ['-j ACCEPT', `-j ${chain}`], [chain]: byAddress }, /come before/],
  ];
  test.each(faults)('a fault is seen: %s', (_what, chains, fault) => {
    expect(findFrameFault(frames, listed(chains))).toMatch(fault);
  });
});
