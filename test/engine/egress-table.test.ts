import fc from 'fast-check';
import { expect, test } from 'vitest';
import { egressSection } from '../../runner/engine/egress-rules.ts';
import { EgressTable } from '../../runner/engine/egress-table.ts';
import type { EgressRules } from '../../runner/protocol/egress.ts';

const installationId = '0123456789ab';
type Table = 'filter' | 'security';

/** As `iptables-restore --noflush` would, one table at a time; it refuses what the kernel would. */
class PacketFilter {
  readonly tables: Record<Table, Map<string, string[]>> = { filter: new Map(), security: new Map() };

  constructor() {
    for (const table of Object.values(this.tables)) {
      for (const own of ['EGRESS', 'REPLY', 'NAMES', 'REFUSE']) table.set(`GBX-${installationId}-${own}`, []);
    }
  }

  async change(script: string): Promise<void> {
    let table = this.tables.filter;
    for (const line of script.split('\n')) {
      const [first = '', chain = '', ...rest] = line.split(' ');
      if (first.startsWith('*')) table = this.tables[first.slice(1) as Table];
      else if (first.startsWith(':')) table.set(first.slice(1), []);
      else if (first.startsWith('-')) this.#apply(table, first, chain, rest.join(' '));
    }
  }

  #apply(table: Map<string, string[]>, action: string, chain: string, rule: string): void {
    const rules = table.get(chain);
    const leadsThere = [...table.values()].flat().some((other) => other.endsWith(`-j ${chain}`));
    if (!rules || (action === '-D' && !rules.includes(rule)) || (action === '-X' && (leadsThere || rules.length > 0))) {
      throw new Error(`refused: ${action} ${chain} ${rule}`);
    }
    if (action === '-A') rules.push(rule);
    if (action === '-D') rules.splice(rules.indexOf(rule), 1);
    if (action === '-F') rules.length = 0;
    if (action === '-X') table.delete(chain);
  }

  /** Of sandboxes: their chains, and what leads to them. */
  rules(name: Table): string[] {
    return [...this.tables[name]]
      .flatMap(([chain, rules]) => rules.map((rule) => `-A ${chain} ${rule}`))
      .toSorted(byText);
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

const containers = fc.constantFrom('a', 'b', 'c');
const addresses = fc.constantFrom('172.20.0.2', '172.20.0.3', '172.20.0.4');
const networks = fc.array(fc.constantFrom('0.0.0.0/0', '203.0.113.0/24', '203.0.113.7'), { maxLength: 2 });
const rules: fc.Arbitrary<EgressRules> = fc.record({ allow: networks, deny: networks });
const steps = fc.array(
  fc.oneof(
    fc.record({ step: fc.constant('set' as const), containerId: containers, rules }),
    fc.record({ step: fc.constant('settle' as const), containerId: containers, address: addresses }),
    fc.record({ step: fc.constantFrom('leave' as const, 'clear' as const), containerId: containers }),
  ),
  { maxLength: 25 },
);

test('whatever comes and goes, the packet filter holds each container’s rules at its address, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const filter = new PacketFilter();
      const table = new EgressTable(installationId, (script) => filter.change(script));
      const places = new Map<string, string>();
      for (const step of sequence) {
        const { containerId } = step;
        if (step.step === 'set') await table.set({ containerId, address: places.get(containerId) }, step.rules);
        else if (step.step === 'settle') {
          // Whoever else was there is gone: the engine gives an address to one at a time.
          for (const [other, address] of places) if (address === step.address) places.delete(other);
          await table.settle({ containerId, address: step.address });
          places.set(containerId, step.address);
        } else {
          await table[step.step](containerId);
          if (step.step === 'leave') places.delete(containerId);
        }
        for (const name of ['filter', 'security'] as const) {
          const wanted = egressSection(installationId, table.byAddress(), name);
          expect(filter.rules(name)).toEqual(wanted.rules.toSorted(byText));
          expect(filter.tables[name].size).toBe(4 + wanted.chains.length);
        }
        for (const address of table.byAddress().keys()) expect([...places.values()]).toContain(address);
      }
    }),
    { numRuns: 300 },
  );
});

test('a change that did not come to be leaves the rules that were', async () => {
  const filter = new PacketFilter();
  let broken = false;
  const table = new EgressTable(installationId, async (script) => {
    if (broken) throw new Error('the tables are locked');
    await filter.change(script);
  });
  const place = { containerId: 'a', address: '172.20.0.2' };
  await table.set(place, { allow: [], deny: ['203.0.113.0/24'] });
  const before = table.byAddress();
  broken = true;
  await expect(table.set(place, { allow: [], deny: ['0.0.0.0/0'] })).rejects.toThrow('locked');
  expect(table.byAddress()).toEqual(before);
});
