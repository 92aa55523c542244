import { describe, expect, test } from 'vitest';
import {
  applyScript,
  chainRules,
  deniedNetworks,
  findFault,
  parseDenyAddress,
  removeScript,
  type FirewallPlan,
} from '../../runner/engine/firewall-rules.ts';

const plan: FirewallPlan = {
  installationId: '0123456789ab',
  bridge: 'gbx0123456789ab',
  resolvers: ['10.255.255.53'],
  deny: [{ cidr: '198.51.100.7/32', port: 6379 }],
  sandboxes: new Map([['172.18.0.3', { allow: ['203.0.113.1/32'], deny: ['203.0.113.0/24'] }]]),
};
const other: FirewallPlan = { ...plan, installationId: 'ba9876543210', bridge: 'gbxba9876543210' };

/** What iptables-save prints once a script has been applied to empty tables. */
function applied(...plans: FirewallPlan[]): string {
  return (['filter', 'security'] as const)
    .map((table) => {
      const lines = plans.flatMap((each) => {
        const section =
          applyScript(each, 'ipv4', '')
            .split('*')
            .find((text) => text.startsWith(table)) ?? '';
        return section.split('\n').filter((line) => /^-[AI]/.test(line));
      });
      const jumps = lines.filter((line) => line.startsWith('-I')).toReversed();
      const chains = plans.flatMap((each) =>
        ['OUT', 'BACK', 'NODE', 'EGRESS', 'REPLY', 'REFUSE'].map(
          (name) => `:GBX-${each.installationId}-${name} - [0:0]`,
        ),
      );
      return [
        `*${table}`,
        ...chains,
        ...jumps.map((line) => line.replace(/^-I (\S+) 1/, '-A $1')),
        '-A FORWARD -j DOCKER-USER',
        ...lines.filter((line) => line.startsWith('-A')),
        'COMMIT',
        '',
      ].join('\n');
    })
    .join('');
}

describe('the rules', () => {
  test('let the resolver’s port 53 through before anything is denied', () => {
    const out = chainRules(plan, 'ipv4', 'filter').filter((rule) => rule.includes('-OUT '));
    const resolver = out.findIndex((rule) => rule.includes('-d 10.255.255.53/32 -p udp'));
    const denied = out.findIndex((rule) => rule.includes('-d 10.0.0.0/8'));
    expect(resolver).toBeGreaterThanOrEqual(0);
    expect(resolver).toBeLessThan(denied);
  });

  test('deny every network of the baseline and every address given, in both tables, and accept nothing', () => {
    for (const table of ['filter', 'security'] as const) {
      const text = chainRules(plan, 'ipv4', table).join('\n');
      for (const network of [...deniedNetworks, '198.51.100.7/32 -p tcp -m tcp --dport 6379'])
        expect(text).toContain(`-d ${network} -j GBX-0123456789ab-REFUSE`);
      expect(text).not.toContain('ACCEPT');
    }
  });

  test('deny all of IPv6', () => {
    expect(chainRules(plan, 'ipv6', 'security')).toContain('-A GBX-0123456789ab-OUT -j GBX-0123456789ab-REFUSE');
  });

  test('chain names fit into 28 characters', () => {
    const names = applyScript(plan, 'ipv4', '').match(/(?<=^:)\S+/gm) ?? [];
    expect(names.length).toBe(2 * 7 + 5);
    expect(names.every((name) => name.length <= 28)).toBe(true);
  });
});

describe('faults', () => {
  test('none when applied, beside another installation in either order', () => {
    expect(findFault(plan, 'ipv4', applied(plan))).toBeUndefined();
    for (const saved of [applied(plan, other), applied(other, plan)]) {
      expect(findFault(plan, 'ipv4', saved)).toBeUndefined();
      expect(findFault(other, 'ipv4', saved)).toBeUndefined();
    }
  });

  test('empty tables, a missing rule, a changed rule, a rule too many, a missing jump, a rule on top', () => {
    const good = applied(plan);
    const broken = {
      empty: '',
      missing: good.replace(/^.*-d 169\.254\.0\.0\/16.*\n/m, ''),
      changed: good.replace('-d 169.254.0.0/16 -j GBX-0123456789ab-REFUSE', '-d 169.254.0.0/16 -j ACCEPT'),
      added: good.replace('-A GBX-0123456789ab-OUT ', '-A GBX-0123456789ab-OUT -j ACCEPT\n-A GBX-0123456789ab-OUT '),
      sandbox: good.replace(/^.*EGRESS -s 172\.18\.0\.3.*\n/m, ''),
      itsRules: good.replace('-d 203.0.113.0/24 -j GBX-0123456789ab-REFUSE', '-d 203.0.113.0/24 -j RETURN'),
      jump: good.replace(/^-A INPUT .*\n/m, ''),
      outranked: good.replace('-A INPUT', '-A INPUT -s 172.18.0.0/16 -j ACCEPT\n-A INPUT'),
    };
    for (const [name, saved] of Object.entries(broken))
      expect(`${name}: ${findFault(plan, 'ipv4', saved) !== undefined}`).toBe(`${name}: true`);
  });
});

test('applying again removes the jumps that are there and no others', () => {
  const script = applyScript(plan, 'ipv4', applied(other, plan));
  const removed = script.split('\n').filter((line) => line.startsWith('-D'));
  expect(removed).toHaveLength(6);
  expect(removed.every((line) => line.includes('GBX-0123456789ab-'))).toBe(true);
});

test('removing takes this installation’s chains and jumps only, and is nothing when there are none', () => {
  const script = removeScript(plan.installationId, applied(other, plan)) ?? '';
  expect(script).toContain('-X GBX-0123456789ab-OUT');
  expect(script).not.toContain(other.installationId);
  expect(removeScript(plan.installationId, applied(other))).toBeUndefined();
});

test('addresses to deny: address, network, address:port; IPv6 needs none; anything else is refused', () => {
  expect(parseDenyAddress('203.0.113.7')).toEqual({ cidr: '203.0.113.7/32', port: undefined });
  expect(parseDenyAddress('203.0.113.0/24')).toEqual({ cidr: '203.0.113.0/24', port: undefined });
  expect(parseDenyAddress('203.0.113.7:6379')).toEqual({ cidr: '203.0.113.7/32', port: 6379 });
  expect(parseDenyAddress('[2001:db8::1]:6379')).toBeUndefined();
  expect(parseDenyAddress('2001:db8::/32')).toBeUndefined();
  for (const wrong of [
    'redis.internal',
    '203.0.113.7/33',
    '203.0.113.300',
    '203.0.113.7:70000',
    '1.2.3.4 -j ACCEPT',
    '',
  ]) {
    expect(() => parseDenyAddress(wrong)).toThrow('not an address');
  }
});
