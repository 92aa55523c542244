import { isIPv4, isIPv6 } from 'node:net';
import { egressSection, type EgressByAddress } from './egress-rules.ts';
import { chainNames, chainPrefix } from './firewall-names.ts';

/** What is written into the node's packet filter for one installation's bridge, and how it is recognised there. Pure. */
export interface FirewallPlan {
  installationId: string;
  bridge: string;
  /** Reachable on port 53 although they may lie in a denied range. */
  resolvers: string[];
  /** Beside the private ranges: an IPv4 address or network, with a TCP port or without. */
  deny: DenyAddress[];
  /** Sandboxes that have rules of their own. */
  sandboxes: EgressByAddress;
}

interface DenyAddress {
  cidr: string;
  port: number | undefined;
}

export type Family = 'ipv4' | 'ipv6';

/**
 * `filter` answers with an error, so that a client fails at once. `security` is passed after it and drops: the engine and
 * the usual firewall front ends never write there, so a flushed, reordered or outranked filter table leaves the rules in force.
 */
const tables = ['filter', 'security'] as const;
type Table = (typeof tables)[number];

/**
 * Private, shared, loopback, link-local (metadata services) and what else is no address of the public internet (RFC 6890): some
 * clouds answer their machines there. One does so on a public address. IPv6 is denied as a whole: the bridge has none.
 */
export const deniedNetworks = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
] as const;

/** Connections of one sandbox that the node's tracking table holds at a time; more are refused. */
const connectionsPerSandbox = 4096;

/** A reset for TCP: the kernel sends only one ICMP error a second to a host, and a client that gets none waits. */
const refusals = ['-p tcp -m tcp -j REJECT --reject-with tcp-reset', '-j REJECT'];

/** Accepts `address`, `address/length` and `address:port`. IPv6 is denied anyway and yields undefined; names are refused. */
export function parseDenyAddress(text: string): DenyAddress | undefined {
  if (isIPv6(text.replace(/^\[|\](:\d+)?$/g, '').replace(/\/\d+$/, ''))) return undefined;
  const match = /^([\d.]+)(?:\/(\d{1,2}))?(?::(\d{1,5}))?$/.exec(text);
  const [, address, length, port] = match ?? [];
  if (address === undefined || !isIPv4(address) || Number(length ?? 32) > 32 || Number(port ?? 1) > 65_535) {
    throw new Error(`not an address, network or address:port to deny: ${text}`);
  }
  return { cidr: `${address}/${length ?? 32}`, port: port === undefined ? undefined : Number(port) };
}

/** Rules of our chains, in order, as `iptables-restore` takes them. */
export function chainRules(plan: FirewallPlan, family: Family, table: Table): string[] {
  const chains = chainNames(plan.installationId);
  const refuse = `-j ${chains.refuse}`;
  const refusal =
    table === 'filter' ? refusals.map((rule) => `-A ${chains.refuse} ${rule}`) : [`-A ${chains.refuse} -j DROP`];
  if (family === 'ipv6')
    return [...refusal, ...[chains.out, chains.back, chains.node].map((chain) => `-A ${chain} ${refuse}`)];
  const resolver = (chain: string, address: '-s' | '-d', port: '--sport' | '--dport', targets: string[]): string[] =>
    plan.resolvers.flatMap((own) =>
      ['udp', 'tcp'].flatMap((protocol) =>
        targets.map((to) => `-A ${chain} ${address} ${own}/32 -p ${protocol} -m ${protocol} ${port} 53 -j ${to}`),
      ),
    );
  const asked = [chains.names, 'RETURN'];
  return [
    ...refusal,
    ...(table === 'filter'
      ? [
          `-A ${chains.out} -m conntrack --ctstate NEW -m connlimit --connlimit-above ${connectionsPerSandbox} ` +
            `--connlimit-mask 32 --connlimit-saddr ${refuse}`,
        ]
      : []),
    // A program may speak from any address of its own, and only the sandbox's outer one says whose rules hold.
    `-A ${chains.out} -s 127.0.0.0/8 ${refuse}`,
    ...resolver(chains.out, '-d', '--dport', asked),
    // Neighbours, and whatever a published port of the node's own leads to.
    `-A ${chains.out} -o ${plan.bridge} ${refuse}`,
    `-A ${chains.out} -m conntrack --ctstate DNAT ${refuse}`,
    ...deniedNetworks.map((network) => `-A ${chains.out} -d ${network} ${refuse}`),
    ...plan.deny.map(({ cidr, port }) =>
      port === undefined
        ? `-A ${chains.out} -d ${cidr} ${refuse}`
        : `-A ${chains.out} -d ${cidr} -p tcp -m tcp --dport ${port} ${refuse}`,
    ),
    // Last, so that what a sandbox's own rules allow is what nothing above has refused.
    `-A ${chains.out} -j ${chains.egress}`,
    `-A ${chains.back} -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP`,
    ...(table === 'security'
      ? [
          ...resolver(chains.back, '-s', '--sport', ['RETURN']),
          // Errors on the way (RELATED) come from any router's address.
          `-A ${chains.back} -m conntrack --ctstate ESTABLISHED -j ${chains.reply}`,
        ]
      : []),
    // To the node itself, whichever addresses it has or will have.
    ...resolver(chains.node, '-d', '--dport', asked),
    `-A ${chains.node} ${refuse}`,
    ...egressSection(plan.installationId, plan.sandboxes, table).rules,
  ];
}

function jumps(plan: FirewallPlan): { hook: 'FORWARD' | 'INPUT'; match: string; chain: string }[] {
  const chains = chainNames(plan.installationId);
  return [
    { hook: 'FORWARD', match: `-i ${plan.bridge}`, chain: chains.out },
    { hook: 'FORWARD', match: `-o ${plan.bridge}`, chain: chains.back },
    { hook: 'INPUT', match: `-i ${plan.bridge}`, chain: chains.node },
  ];
}

/** All that should be there: the installation's own, and the sandboxes'. */
function chainsOf(plan: FirewallPlan, family: Family, table: Table): string[] {
  const own = Object.values(chainNames(plan.installationId));
  return family === 'ipv6' ? own : [...own, ...egressSection(plan.installationId, plan.sandboxes, table).chains];
}

/** Input for `iptables-restore --noflush`: one transaction that puts the chains and the jumps on top, whatever was there. */
export function applyScript(plan: FirewallPlan, family: Family, saved: string): string {
  return tables
    .flatMap((table) => {
      const chains = chainsOf(plan, family, table);
      // Of sandboxes that are gone; nothing leads there any more once the others are written anew.
      const left = declaredChains(plan.installationId, saved, table).filter((chain) => !chains.includes(chain));
      return [
        `*${table}`,
        ...chains.map((chain) => `:${chain} - [0:0]`),
        ...leadingRules(plan.installationId, saved, table).map((rule) => rule.replace(/^-A/, '-D')),
        ...chainRules(plan, family, table),
        ...jumps(plan).map(({ hook, match, chain }) => `-I ${hook} 1 ${match} -j ${chain}`),
        ...left.map((chain) => `-F ${chain}`),
        ...left.map((chain) => `-X ${chain}`),
        'COMMIT\n',
      ];
    })
    .join('\n');
}

/** Input for `iptables-restore --noflush` that removes all that this installation has there; undefined if there is nothing. */
export function removeScript(installationId: string, saved: string): string | undefined {
  const sections = tables.flatMap((table) => {
    const own = declaredChains(installationId, saved, table);
    if (own.length === 0) return [];
    const leading = leadingRules(installationId, saved, table).map((rule) => rule.replace(/^-A/, '-D'));
    return [
      `*${table}`,
      ...leading,
      ...own.map((chain) => `-F ${chain}`),
      ...own.map((chain) => `-X ${chain}`),
      'COMMIT\n',
    ];
  });
  return sections.length === 0 ? undefined : sections.join('\n');
}

/**
 * Why the rules are not in force, from the output of `iptables-save`; undefined when they are. The jumps count as on top when
 * nothing but other installations' jumps, which match other bridges only, stands before them.
 */
export function findFault(plan: FirewallPlan, family: Family, saved: string): string | undefined {
  for (const table of tables) {
    const rules = tableRules(saved, table);
    const allWanted = Map.groupBy(chainRules(plan, family, table), chainOf);
    const allThere = Map.groupBy(rules, chainOf);
    for (const chain of chainsOf(plan, family, table)) {
      const wanted = allWanted.get(chain) ?? [];
      const there = allThere.get(chain) ?? [];
      const same = wanted.length === there.length && wanted.every((rule, at) => sameRule(rule, there[at] ?? ''));
      if (!same) return `${family} ${table}: the rules of ${chain} differ`;
    }
    for (const { hook, match, chain } of jumps(plan)) {
      const ofHook = rules.filter((rule) => rule.startsWith(`-A ${hook} `));
      const at = ofHook.indexOf(`-A ${hook} ${match} -j ${chain}`);
      if (at < 0) return `${family} ${table}: ${hook} does not lead to ${chain}`;
      if (!ofHook.slice(0, at).every((rule) => / -[io] gbx[0-9a-f]{12} -j GBX-[0-9a-f]{12}-[A-Z]+$/.test(rule))) {
        return `${family} ${table}: other rules of ${hook} come before ${chain}`;
      }
    }
  }
  return undefined;
}

const chainOf = (rule: string): string => rule.slice(3, rule.indexOf(' ', 3));

/** Versions of the tool differ in the order of matches and in spelling out defaults; the parts that decide are compared. */
function sameRule(wanted: string, there: string): boolean {
  if (wanted === there) return true;
  const parts = new Set(there.split(/\s+/));
  return wanted.split(/\s+/).every((part) => parts.has(part)) && target(wanted) === target(there);
}

function target(rule: string): string | undefined {
  return / -j (\S+)/.exec(rule)?.[1];
}

function leadingRules(installationId: string, saved: string, table: Table): string[] {
  const prefix = chainPrefix(installationId);
  return tableRules(saved, table).filter(
    (rule) => !rule.startsWith(`-A ${prefix}`) && target(rule)?.startsWith(prefix) === true,
  );
}

function declaredChains(installationId: string, saved: string, table: Table): string[] {
  return tableLines(saved, table)
    .flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? [])
    .filter((chain) => chain.startsWith(chainPrefix(installationId)));
}

function tableRules(saved: string, table: Table): string[] {
  return tableLines(saved, table).filter((line) => line.startsWith('-A '));
}

function tableLines(saved: string, table: Table): string[] {
  const lines = saved.split('\n');
  const start = lines.indexOf(`*${table}`);
  if (start < 0) return [];
  return lines.slice(start + 1, lines.indexOf('COMMIT', start));
}
