import type { EgressRules } from '../protocol/egress.ts';
import { chainNames, sandboxChains } from './firewall-names.ts';
import { covers, overlap, parseNetwork, printNetwork, type Ipv4Network } from './ipv4.ts';

/** One sandbox's own rules in the node's packet filter, and how they are changed while others stay. Pure. */

/** IPv4 networks, as the packet filter spells them. IPv6 is denied to every sandbox as a whole, so its rules change nothing. */
export interface Egress {
  allow: string[];
  /** Never empty: rules that deny nothing are none. */
  deny: string[];
}

/** By the sandbox's own address, which it can neither change nor forge. */
export type EgressByAddress = ReadonlyMap<string, Egress>;

/** Without what another of them covers. */
function fewest(networks: readonly Ipv4Network[]): Ipv4Network[] {
  const sorted = networks.toSorted((a, b) => a.length - b.length || a.base - b.base);
  return sorted.filter((network, at) => !sorted.slice(0, at).some((earlier) => covers(earlier, network)));
}

const networksOf = (texts: readonly string[]): Ipv4Network[] =>
  fewest(texts.flatMap((text) => parseNetwork(text) ?? []));

/** What is left to enforce of what a caller asked for; undefined where nothing is denied. */
export function egressOf(rules: EgressRules): Egress | undefined {
  const deny = networksOf(rules.deny);
  if (deny.length === 0) return undefined;
  const allow = networksOf(rules.allow).filter((network) => deny.some((denied) => overlap(denied, network)));
  return { allow: allow.map(printNetwork), deny: deny.map(printNetwork) };
}

export const sameEgress = (a: Egress | undefined, b: Egress | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

type Table = 'filter' | 'security';

/** iptables-save leaves out what matches everything. */
const everything = '0.0.0.0/0';
const match = (flag: '-s' | '-d', network: string): string => (network === everything ? '' : `${flag} ${network} `);

/**
 * What a sandbox sends is held against its rules in both tables; what comes back on a connection that is open already in `security`
 * alone, so that a peer which is denied from now on is no longer heard either.
 */
export function sandboxRules(installationId: string, address: string, egress: Egress, table: Table): string[] {
  const { sent, received, asked } = sandboxChains(installationId, address);
  const { refuse } = chainNames(installationId);
  // Names carry data out: the resolver is for sandboxes that may reach something, unless what they may reach names it.
  const names = egress.deny.includes(everything) ? [`-A ${asked} -j ${sent}`] : [];
  const chain = (name: string, flag: '-s' | '-d'): string[] => [
    ...egress.allow.map((network) => `-A ${name} ${match(flag, network)}-j RETURN`),
    ...egress.deny.map((network) => `-A ${name} ${match(flag, network)}-j ${refuse}`),
  ];
  return [...chain(sent, '-d'), ...(table === 'security' ? chain(received, '-s') : []), ...names];
}

/** The rules by which packets find the chains of their sandbox, without the leading `-A`. */
function jumps(installationId: string, address: string, table: Table): string[] {
  const { egress, reply, names } = chainNames(installationId);
  const { sent, received, asked } = sandboxChains(installationId, address);
  const back = table === 'security' ? [`${reply} -d ${address}/32 -j ${received}`] : [];
  return [`${egress} -s ${address}/32 -j ${sent}`, ...back, `${names} -s ${address}/32 -j ${asked}`];
}

const chainsOf = (installationId: string, address: string, table: Table): string[] => {
  const { sent, received, asked } = sandboxChains(installationId, address);
  return table === 'security' ? [sent, received, asked] : [sent, asked];
};

/** Of all sandboxes that have rules: the chains' names, and their rules in order. */
export function egressSection(installationId: string, sandboxes: EgressByAddress, table: Table) {
  return {
    chains: [...sandboxes.keys()].flatMap((address) => chainsOf(installationId, address, table)),
    rules: [...sandboxes].flatMap(([address, egress]) => [
      ...sandboxRules(installationId, address, egress, table),
      ...jumps(installationId, address, table).map((jump) => `-A ${jump}`),
    ]),
  };
}

/** `security` first: rules are in force from its commit on, whatever becomes of `filter`, which only says no more kindly. */
const inBothTables = (section: (table: Table) => string[]): string =>
  (['security', 'filter'] as const).flatMap((table) => [`*${table}`, ...section(table), 'COMMIT\n']).join('\n');

/** Input for `iptables-restore --noflush`: one sandbox's rules in place of those that it had, each table in one step. */
export const setScript = (installationId: string, address: string, egress: Egress, isNew: boolean): string =>
  inBothTables((table) => [
    ...chainsOf(installationId, address, table).map((chain) => `:${chain} - [0:0]`),
    ...sandboxRules(installationId, address, egress, table),
    ...(isNew ? jumps(installationId, address, table).map((jump) => `-A ${jump}`) : []),
  ]);

/** The same for a sandbox that has no rules from now on, or is gone. */
export const clearScript = (installationId: string, address: string): string =>
  inBothTables((table) => [
    ...jumps(installationId, address, table).map((jump) => `-D ${jump}`),
    ...chainsOf(installationId, address, table).map((chain) => `-F ${chain}`),
    ...chainsOf(installationId, address, table).map((chain) => `-X ${chain}`),
  ]);
