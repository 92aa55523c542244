import { describe, expect, test } from 'vitest';
import { requireEgressRules } from '../../worker/core/sandboxes/egress-rules.ts';
import { egressOf, viewEgress } from '../../worker/dialects/e2b/network.ts';

const all = ['0.0.0.0/0', '::/0'];

describe('egress rules', () => {
  test('are addresses and networks of either family, and nothing else', () => {
    const good = ['1.1.1.1', '198.51.100.0/24', '0.0.0.0/0', '::/0', '2001:db8::1', '2001:db8::/32'];
    expect(requireEgressRules({ allow: good, deny: good })).toEqual({ allow: good, deny: good });
    const wrong = [
      '',
      'example.com',
      '1.2.3',
      '1.2.3.4/33',
      '010.0.0.1',
      '1.1.1.1 -j ACCEPT',
      '1.1.1.1\n-A INPUT -j ACCEPT',
      '1.1.1.1:80',
      '0.0.0.0',
      '::',
      '0.0.0.0/8',
      '::ffff:1.1.1.1',
      'fe80::1%eth0',
    ];
    for (const entry of wrong) {
      const quoted = JSON.stringify(entry);
      expect(() => requireEgressRules({ allow: [], deny: [entry] })).toThrow(`egress.deny: ${quoted}`);
      expect(() => requireEgressRules({ allow: [entry], deny: [] })).toThrow(`egress.allow: ${quoted}`);
    }
  });

  test('are at most 64 in each list', () => {
    const entries = Array.from({ length: 65 }, (_, at) => `198.51.100.${at}`);
    expect(requireEgressRules({ allow: entries.slice(1), deny: [] }).allow).toHaveLength(64);
    expect(() => requireEgressRules({ allow: entries, deny: [] })).toThrow('more than 64');
  });
});

describe('E2B’s network', () => {
  test('is nothing when nothing is said, and denies everything without internet access', () => {
    expect(egressOf(undefined, undefined)).toEqual({ allow: [], deny: [] });
    expect(egressOf(null, true)).toEqual({ allow: [], deny: [] });
    expect(egressOf({ rules: {}, egressProxy: null }, null)).toEqual({ allow: [], deny: [] });
    expect(egressOf({}, false)).toEqual({ allow: [], deny: all });
    expect(egressOf({ allowOut: ['1.1.1.1'], denyOut: ['0.0.0.0/0'] }, false)).toEqual({
      allow: ['1.1.1.1'],
      deny: all,
    });
  });

  test('domains, a proxy and rules are refused, each in its own words', () => {
    expect(() => egressOf({ allowOut: ['api.example.com'] }, undefined)).toThrow('needs 0.0.0.0/0 in denyOut');
    expect(() => egressOf({ allowOut: ['*.example.com'], denyOut: ['0.0.0.0/0'] }, undefined)).toThrow('is a domain');
    expect(() => egressOf({ denyOut: ['example.com'] }, undefined)).toThrow('denyOut: "example.com"');
    expect(() => egressOf({ egressProxy: { address: '1.1.1.1:1080' } }, undefined)).toThrow('egressProxy');
    expect(() => egressOf({ rules: { 'example.com': [] } }, undefined)).toThrow('rules');
  });

  test('reads back as it was written', () => {
    expect(viewEgress(egressOf({ allowOut: ['1.1.1.1'], denyOut: ['8.8.8.8'] }, undefined))).toEqual({
      allowInternetAccess: true,
      network: { allowOut: ['1.1.1.1'], denyOut: ['8.8.8.8'] },
    });
    expect(viewEgress(egressOf({ denyOut: ['8.8.8.8'] }, false))).toEqual({
      allowInternetAccess: false,
      network: { allowOut: [], denyOut: ['8.8.8.8'] },
    });
    expect(viewEgress(egressOf({ denyOut: ['0.0.0.0/0'] }, undefined)).allowInternetAccess).toBe(true);
  });
});
