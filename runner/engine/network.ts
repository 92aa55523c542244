import { readdir, readFile, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import type { Logger } from '../log.ts';
import type { EgressRules } from '../protocol/egress.ts';
import { installationLabel, networkName } from './container-spec.ts';
import { asError, engineStatus, type DockerClient } from './docker-client.ts';
import { clearScript, egressOf, sameEgress, setScript, type Egress } from './egress-rules.ts';
import { applyFirewall, changeFirewall, findFirewallFault, removeFirewall } from './firewall.ts';
import { parseDenyAddress, type FirewallPlan } from './firewall-rules.ts';

/** How long a flushed or outranked filter table may stay so; the security table holds meanwhile. */
const guardIntervalMs = 5_000;
const interfaceUp = 0x1;

interface SandboxNetworkOptions {
  installationId: string;
  resolver: string | undefined;
  denyAddresses: string[];
  log: Logger;
}

/** The node's packet filter, as far as it matters here. */
interface Firewall {
  apply(plan: FirewallPlan): Promise<void>;
  /** One step between two plans. */
  change(script: string): Promise<void>;
  /** undefined when the rules are in force. */
  findFault(plan: FirewallPlan): Promise<string | undefined>;
}
const nodeFirewall: Firewall = { apply: applyFirewall, change: changeFirewall, findFault: findFirewallFault };

/** Where a container is reached on the bridge. */
interface Place {
  containerId: string;
  address: string;
}

/** The bridge of the sandboxes with network on, and the rules without which it must not carry a packet. */
export class SandboxNetwork {
  readonly #docker: DockerClient;
  readonly #options: SandboxNetworkOptions;
  readonly #base: Omit<FirewallPlan, 'sandboxes'>;
  readonly #firewall: Firewall;
  /** The sandboxes' own rules, by container. */
  readonly #egress = new Map<string, { address: string | undefined; egress: Egress }>();
  /** One at a time writes to the packet filter. */
  #turn: Promise<unknown> = Promise.resolve();
  #guard: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;
  #safe = false;

  constructor(docker: DockerClient, options: SandboxNetworkOptions, firewall: Firewall = nodeFirewall) {
    this.#firewall = firewall;
    this.#docker = docker;
    this.#options = options;
    this.#base = {
      installationId: options.installationId,
      bridge: bridgeName(options.installationId),
      resolvers: options.resolver === undefined ? [] : [options.resolver],
      deny: options.denyAddresses.flatMap((text) => parseDenyAddress(text) ?? []),
    };
  }

  /** Whether the deny rules were in force when last looked at; sandboxes with network on may be started only then. */
  get safe(): boolean {
    return this.#safe;
  }

  /** Throws when the rules could not be put in place; it is tried again, as everything here, every five seconds. */
  async prepare(): Promise<void> {
    this.#guard ??= setInterval(() => void this.check().catch(() => undefined), guardIntervalMs).unref();
    await this.check();
  }

  /** Looks whether the rules are in force and puts them back if not. Where that fails, the bridge is taken down. */
  async check(): Promise<void> {
    this.#checking ??= this.#checkOnce().finally(() => {
      this.#checking = undefined;
    });
    await this.#checking;
  }

  /**
   * Lets no frame pass between two sandboxes, whatever the packet filter says: ports marked so reach the node alone. A
   * neighbour is then not even seen in the answers to ARP.
   */
  async isolatePorts(): Promise<void> {
    const folder = `/sys/class/net/${this.#base.bridge}/brif`;
    for (const port of await readdir(folder)) {
      const file = `${folder}/${port}/isolated`;
      try {
        if ((await readFile(file, 'utf8')).trim() !== '1') await writeFile(file, '1', { flag: 'r+' });
      } catch (error) {
        // Another sandbox that ended just now took its port along.
        if ((await readdir(folder)).includes(port)) throw error;
      }
    }
  }

  /** Before the first check: rules that an earlier life of the runner put in place, so that they stay without a gap. */
  keep({ containerId, address }: { containerId: string; address: string | undefined }, rules: EgressRules): void {
    const egress = egressOf(rules);
    if (egress) this.#egress.set(containerId, { address, egress });
  }

  /**
   * A container has begun to run at this address: what was in force there for another one, which is gone, must not be its; what it had
   * at another address before a rest is in force here from now on.
   */
  async welcome({ containerId, address }: Place): Promise<void> {
    const stale = [...this.#egress].filter(([id, its]) => its.address === address && id !== containerId);
    for (const [id] of stale) await this.leave(id);
    const own = this.#egress.get(containerId);
    if (!own || own.address === address) return;
    await this.leave(containerId);
    await this.#exclusively(() => this.#place({ containerId, address }, own.egress));
  }

  /** Resolves once the rules are in force for the container, in place of those that it had. */
  async setEgress(place: Place, rules: EgressRules): Promise<void> {
    const egress = egressOf(rules);
    if (sameEgress(egress, this.#egress.get(place.containerId)?.egress)) return;
    if (egress === undefined) return await this.forget(place.containerId);
    await this.#exclusively(() => this.#place(place, egress));
  }

  async #place({ containerId, address }: Place, egress: Egress): Promise<void> {
    const before = this.#egress.get(containerId);
    this.#egress.set(containerId, { address, egress });
    try {
      await this.#change(setScript(this.#base.installationId, address, egress, before?.address === undefined));
    } catch (cause) {
      if (before === undefined) this.#egress.delete(containerId);
      else this.#egress.set(containerId, before);
      throw cause;
    }
  }

  /** Of a container that has no address any more, but may get another. */
  async leave(containerId: string): Promise<void> {
    if (!this.#egress.has(containerId)) return;
    await this.#exclusively(async () => {
      const its = this.#egress.get(containerId);
      if (its?.address === undefined) return;
      const { address, egress } = its;
      this.#egress.set(containerId, { address: undefined, egress });
      await this.#change(clearScript(this.#base.installationId, address));
    });
  }

  /** Of a container that is gone, or has no rules of its own any more. */
  async forget(containerId: string): Promise<void> {
    if (!this.#egress.has(containerId)) return;
    try {
      await this.leave(containerId);
    } finally {
      this.#egress.delete(containerId);
    }
  }

  /** Where one step does not succeed, because somebody was at the tables, all is written anew; where that fails, the bridge goes down. */
  async #change(script: string): Promise<void> {
    try {
      await this.#firewall.change(script);
    } catch (error) {
      this.#options.log.warn('firewall_change_failed', { error: asError(error) });
      try {
        await this.#firewall.apply(this.#plan());
      } catch (cause) {
        await this.#close(cause);
        throw cause;
      }
    }
  }

  async #checkOnce(): Promise<void> {
    try {
      if ((await this.#findFault()) !== undefined) await this.#exclusively(() => this.#putBack());
      if (!this.#safe) await this.#exclusively(() => this.#openBridge());
      await this.isolatePorts();
      this.#safe = true;
    } catch (cause) {
      await this.#close(cause);
      throw cause;
    }
  }

  #findFault(): Promise<string | undefined> {
    return this.#firewall.findFault(this.#plan());
  }

  /** Looks again first: a sandbox's rules may have been changing while they were read. */
  async #putBack(): Promise<void> {
    const fault = await this.#findFault();
    if (fault === undefined) return;
    if (this.#safe) this.#options.log.warn('firewall_put_back', { fault });
    await this.#firewall.apply(this.#plan());
  }

  /** Without the rules no packet passes. */
  async #close(cause: unknown): Promise<void> {
    if (this.#safe) this.#options.log.error('firewall_lost_bridge_down', { error: asError(cause) });
    this.#safe = false;
    await setBridgeUp(this.#base.bridge, false);
  }

  #plan(): FirewallPlan {
    return {
      ...this.#base,
      sandboxes: new Map(
        [...this.#egress.values()].flatMap(({ address, egress }) => (address === undefined ? [] : [[address, egress]])),
      ),
    };
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  /** Only with the rules in place, and then the rules again on top of what the engine wrote for the bridge. */
  async #openBridge(): Promise<void> {
    if (await this.#makeBridge()) await this.#firewall.apply(this.#plan());
    await setBridgeUp(this.#base.bridge, true);
  }

  async close(): Promise<void> {
    clearInterval(this.#guard);
    this.#guard = undefined;
    await this.#checking?.catch(() => undefined);
  }

  /** Whether there was none. */
  async #makeBridge(): Promise<boolean> {
    const name = networkName(this.#options.installationId);
    const found = await this.#docker
      .getNetwork(name)
      .inspect()
      .catch((error: unknown) => {
        if (engineStatus(error) === 404) return undefined;
        throw error;
      });
    if (found !== undefined) return false;
    await this.#docker.createNetwork({
      Name: name,
      CheckDuplicate: true,
      Driver: 'bridge',
      EnableIPv6: false,
      Labels: { [installationLabel]: this.#options.installationId },
      Options: {
        'com.docker.network.bridge.name': this.#base.bridge,
        'com.docker.network.bridge.enable_icc': 'false',
        'com.docker.network.driver.mtu': String(await uplinkMtuBytes()),
      },
    });
    return true;
  }
}

/** An interface's name holds 15 characters: this uses all. */
export const bridgeName = (installationId: string): string => `gbx${installationId}`;

/** Removes the installation's network, then its rules. Its containers must be gone. */
export async function removeNetwork(docker: DockerClient, installationId: string): Promise<void> {
  await docker
    .getNetwork(networkName(installationId))
    .remove()
    .catch((error: unknown) => {
      if (engineStatus(error) !== 404) throw error;
    });
  await removeFirewall(installationId);
}

/** The node's first resolver if containers can reach it; undefined for a loopback one, which the engine asks on their behalf. */
export async function nodeResolver(): Promise<string | undefined> {
  const text = await readFile('/etc/resolv.conf', 'utf8');
  const first = /^\s*nameserver\s+(\S+)/m.exec(text)?.[1];
  return first !== undefined && isIPv4(first) && !first.startsWith('127.') ? first : undefined;
}

/** Of the interface with the default route, so that packets fit where tunnels make the uplink's frames smaller. */
async function uplinkMtuBytes(): Promise<number> {
  const routes = (await readFile('/proc/net/route', 'utf8')).split('\n').map((line) => line.split('\t'));
  const uplink = routes.find(
    ([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000',
  )?.[0];
  if (uplink === undefined) return 1500;
  return Number(await readFile(`/sys/class/net/${uplink}/mtu`, 'utf8'));
}

/** Up or down by the interface's flags; a bridge that isn't there carries nothing, so that is fine. */
async function setBridgeUp(bridge: string, up: boolean): Promise<void> {
  const path = `/sys/class/net/${bridge}/flags`;
  try {
    const flags = Number(await readFile(path, 'utf8'));
    const wanted = up ? flags | interfaceUp : flags & ~interfaceUp;
    if (wanted !== flags) await writeFile(path, `0x${wanted.toString(16)}`, { flag: 'r+' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}
