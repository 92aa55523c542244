import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clearScript, egressOf, setScript } from '../../runner/engine/egress-rules.ts';
import { applyScript, chainRules, deniedNetworks, type FirewallPlan } from '../../runner/engine/firewall-rules.ts';
import type { EgressRules } from '../../runner/protocol/egress.ts';

const sandbox = '172.20.0.5';
const neighbour = '172.20.0.6';
const resolver = '10.255.255.53';

const planWith = (rules: EgressRules): FirewallPlan => {
  const egress = egressOf(rules);
  return {
    installationId: '0123456789ab',
    bridge: 'gbx0123456789ab',
    resolvers: [resolver],
    deny: [{ cidr: '198.51.100.7/32', port: 6379 }],
    sandboxes: new Map(egress === undefined ? [] : [[sandbox, egress]]),
  };
};

const within = (network: string, address: string): boolean => {
  const [base = '', length = '32'] = network.split('/');
  const list = new BlockList();
  if (length === '0') return true;
  list.addSubnet(base, Number(length), 'ipv4');
  return list.check(address, 'ipv4');
};

interface Packet {
  from: string;
  to: string;
  port: number;
}

const valueOf = (rule: string, flag: string): string | undefined => new RegExp(` ${flag} (\\S+)`).exec(rule)?.[1];

/** What the packet filter makes of a packet of a new TCP connection in a chain: the rules in order, the first that decides. */
function judge(rules: readonly string[], chain: string, packet: Packet): 'refused' | 'returned' {
  for (const rule of rules) {
    if (!rule.startsWith(`-A ${chain} `)) continue;
    if (/ -o |ctstate|connlimit| -p udp/.test(rule)) continue; // none of what this packet is
    const [from, to, port] = [valueOf(rule, '-s'), valueOf(rule, '-d'), valueOf(rule, '--dport')];
    if (from !== undefined && !within(from, packet.from)) continue;
    if (to !== undefined && !within(to, packet.to)) continue;
    if (port !== undefined && Number(port) !== packet.port) continue;
    const target = valueOf(rule, '-j') ?? '';
    if (target === 'RETURN') return 'returned';
    if (target.endsWith('-REFUSE')) return 'refused';
    if (judge(rules, target, packet) === 'refused') return 'refused';
  }
  return 'returned';
}

const judgeSent = (rules: EgressRules, packet: Packet): string =>
  judge(chainRules(planWith(rules), 'ipv4', 'security'), 'GBX-0123456789ab-OUT', packet);

const octet = fc.nat({ max: 255 });
/** Few bits vary, so that rules and packets meet. */
const address = fc
  .oneof(
    fc.tuple(fc.constantFrom(1, 10, 169, 192, 203, 198), fc.constantFrom(0, 254, 168), fc.nat({ max: 3 }), octet),
    fc.tuple(octet, octet, octet, octet),
  )
  .map((parts) => parts.join('.'));
const rule = fc.oneof(
  address,
  fc.tuple(address, fc.nat({ max: 32 })).map(([base, length]) => `${base}/${length}`),
  fc.constantFrom('0.0.0.0/0', '::/0', '2001:db8::/32'),
);
const rules: fc.Arbitrary<EgressRules> = fc.record({
  allow: fc.array(rule, { maxLength: 6 }),
  deny: fc.array(rule, { maxLength: 6 }),
});

const alwaysDenied = (to: string): boolean => deniedNetworks.some((network) => within(network, to));
const matches = (list: readonly string[], to: string): boolean =>
  list.some((entry) => !entry.includes(':') && within(entry, to));

describe('whatever a sandbox’s rules are', () => {
  test('what is always denied is denied', () => {
    fc.assert(
      fc.property(rules, address, octet, (its, to, port) => {
        fc.pre(alwaysDenied(to));
        expect(judgeSent(its, { from: sandbox, to, port: port + 1000 })).toBe('refused');
      }),
    );
    const open = { allow: ['0.0.0.0/0', ...deniedNetworks, '198.51.100.7'], deny: [] };
    for (const to of ['169.254.169.254', '10.1.2.3', '127.0.0.1']) {
      expect(judgeSent(open, { from: sandbox, to, port: 80 })).toBe('refused');
    }
    expect(judgeSent(open, { from: sandbox, to: '198.51.100.7', port: 6379 })).toBe('refused');
  });

  test('of the rest, what they allow passes, then what they deny does not, then everything does', () => {
    fc.assert(
      fc.property(rules, address, (its, to) => {
        fc.pre(!alwaysDenied(to));
        const expected = !matches(its.allow, to) && matches(its.deny, to) ? 'refused' : 'returned';
        expect(judgeSent(its, { from: sandbox, to, port: 80 })).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('the resolver answers who may reach anything, and neighbours are not concerned', () => {
    fc.assert(
      fc.property(rules, address, (its, to) => {
        fc.pre(!alwaysDenied(to));
        const sealed = its.deny.some((denied) => denied.endsWith('/0') && !denied.includes(':'));
        const named = its.allow.some((allowed) => !allowed.includes(':') && within(allowed, resolver));
        const answered = !sealed || named ? 'returned' : 'refused';
        expect(judgeSent(its, { from: sandbox, to: resolver, port: 53 })).toBe(answered);
        expect(judgeSent(its, { from: neighbour, to: resolver, port: 53 })).toBe('returned');
        expect(judgeSent(its, { from: neighbour, to, port: 80 })).toBe('returned');
      }),
    );
  });

  test('a packet from an address that is no sandbox’s outer one goes nowhere', () => {
    expect(judgeSent({ allow: [], deny: [] }, { from: '127.0.0.1', to: '203.0.113.1', port: 80 })).toBe('refused');
  });
});

test('rules that deny nothing are none, and what another rule covers is left out', () => {
  expect(egressOf({ allow: ['1.1.1.1'], deny: ['::/0'] })).toBeUndefined();
  expect(egressOf({ allow: ['1.1.1.1', '8.8.8.8'], deny: ['1.1.1.77/24', '1.1.1.0/25', '1.1.1.9'] })).toEqual({
    allow: ['1.1.1.1/32'],
    deny: ['1.1.1.0/24'],
  });
  expect(egressOf({ allow: [], deny: ['203.0.113.1', '0.0.0.0/0'] })).toEqual({ allow: [], deny: ['0.0.0.0/0'] });
});

describe('scripts', () => {
  const egress = { allow: ['203.0.113.1/32'], deny: ['0.0.0.0/0'] };

  test('of one sandbox touch its own chains only, and lead to them once', () => {
    const fresh = setScript('0123456789ab', sandbox, egress, true).split('\n');
    expect(fresh.filter((line) => line.includes('-EGRESS'))).toEqual(
      Array(2).fill('-A GBX-0123456789ab-EGRESS -s 172.20.0.5/32 -j GBX-0123456789ab-Sac140005'),
    );
    expect(fresh.filter((line) => line.startsWith('-A GBX-0123456789ab-R'))).toEqual([
      '-A GBX-0123456789ab-Rac140005 -s 203.0.113.1/32 -j RETURN',
      '-A GBX-0123456789ab-Rac140005 -j GBX-0123456789ab-REFUSE',
      '-A GBX-0123456789ab-REPLY -d 172.20.0.5/32 -j GBX-0123456789ab-Rac140005',
    ]);
    expect(setScript('0123456789ab', sandbox, egress, false)).not.toMatch(/EGRESS|REPLY/);
    const cleared = clearScript('0123456789ab', sandbox);
    expect(cleared.match(/^-X \S+/gm)).toHaveLength(5);
    expect(cleared).not.toContain('-A ');
  });

  test('names fit into 28 characters, and what is left of sandboxes that are gone is removed with the next whole one', () => {
    const saved = ['*security', ':GBX-0123456789ab-Sac140009 - [0:0]', 'COMMIT', ''].join('\n');
    const script = applyScript(planWith({ allow: [], deny: ['0.0.0.0/0'] }), 'ipv4', saved);
    expect(script).toContain('-X GBX-0123456789ab-Sac140009');
    expect(script).not.toContain('-X GBX-0123456789ab-Sac140005');
    for (const name of script.match(/(?<=^:)\S+/gm) ?? []) expect(name.length).toBeLessThanOrEqual(28);
  });
});
