import type { Logger } from '../log.ts';
import type { EgressRules } from '../protocol/egress.ts';
import { RunnerError } from '../protocol/errors.ts';
import { Addresses } from './addresses.ts';
import { BridgeNetwork, bridgeName } from './bridge-network.ts';
import { networkName } from './container-spec.ts';
import { asError, engineMessage, engineStatus, type DockerClient } from './docker-client.ts';
import { EgressTable } from './egress-table.ts';
import { applyFirewall, changeFirewall, findFirewallFault, removeFirewall } from './firewall.ts';
import { parseDenyAddress, type FirewallPlan } from './firewall-rules.ts';
import { holdFrames, removeFrameRules, type Frames } from './frame-rules.ts';
import { isolatePorts, setBridgeUp } from './node-network.ts';

/** How long a flushed or outranked filter table may stay so; the security table holds meanwhile. */
const guardIntervalMs = 5_000;
/** Of the same container, each at another address. */
const startTriesMax = 4;
const nothing: EgressRules = { allow: [], deny: ['0.0.0.0/0'] };

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
  /** Keeps bridged frames from passing between sandboxes. Throws where that can't be had. */
  holdFrames(frames: Frames): Promise<void>;
}
const nodeFirewall: Firewall = {
  apply: applyFirewall,
  change: changeFirewall,
  findFault: findFirewallFault,
  holdFrames,
};

/** The bridge of the sandboxes with network on, and the rules without which it must not carry a packet. */
export class SandboxNetwork {
  readonly #options: SandboxNetworkOptions;
  readonly #base: Omit<FirewallPlan, 'sandboxes'>;
  readonly #firewall: Firewall;
  readonly #network: BridgeNetwork;
  readonly #addresses = new Addresses();
  readonly #egress: EgressTable;
  #guard: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;
  #safe = false;
  #subnet: string | undefined;
  /** undefined until it was tried. */
  #framesHeld: boolean | undefined;

  constructor(docker: DockerClient, options: SandboxNetworkOptions, firewall: Firewall = nodeFirewall) {
    this.#firewall = firewall;
    this.#network = new BridgeNetwork(docker, options.installationId);
    this.#egress = new EgressTable(options.installationId, (script) => this.#change(script));
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
   * Before the first check: the addresses of the containers that an earlier life of the runner left, and the rules that it put in place,
   * so that they stay without a gap. Who is not named is nobody's, perhaps a boot that was cut short, and reaches nothing until it is removed.
   */
  async adopt(egress: ReadonlyMap<string, EgressRules>): Promise<void> {
    for (const { containerId, given, present } of await this.#network.places()) {
      if (given !== undefined) this.#addresses.assign(containerId, given);
      this.#egress.keep({ containerId, address: given ?? present }, egress.get(containerId) ?? nothing);
    }
  }

  /** For a container that is about to be made: see Addresses. */
  reserveAddress(): string | undefined {
    return this.#addresses.reserve();
  }

  releaseAddress(address: string | undefined): void {
    this.#addresses.release(address);
  }

  assignAddress(containerId: string, address: string | undefined): void {
    if (address !== undefined) this.#addresses.assign(containerId, address);
  }

  /** One sentence for each thing that is not as it should be. */
  get notes(): string[] {
    const frames =
      'Frames between sandboxes can’t be filtered here (ebtables): a sandbox’s port is isolated only just after it has started.';
    const addresses =
      'The sandboxes’ network is an earlier version’s and in use, or smaller than a /28: a sandbox that is started again has its own network rules only just after.';
    return [...(this.#framesHeld === true ? [] : [frames]), ...(this.#addresses.areOurs ? [] : [addresses])];
  }

  /** Whether nothing in it runs for a moment ahead of its rules, or beside its neighbours, when it is started. */
  confinesFromStart(containerId: string): boolean {
    return this.#framesHeld === true && this.#addresses.of(containerId) !== undefined;
  }

  /** Starts a container that is at rest, or new, with its rules in force at its address. Where somebody else has that address it gets another. */
  async start(containerId: string, start: () => Promise<unknown>): Promise<void> {
    if (!this.#safe) {
      throw new RunnerError('engine_failed', 'Sandboxes can have no network on this node now.');
    }
    if (this.#addresses.areOurs && this.#addresses.of(containerId) === undefined) await this.#move(containerId);
    for (let tries = 1; ; tries++) {
      try {
        await start();
        return;
      } catch (error) {
        const taken = this.#addresses.areOurs && /address already in use/i.test(engineMessage(error));
        if (!taken || tries === startTriesMax) throw error;
        this.#options.log.warn('address_in_use', { containerId, address: this.#addresses.of(containerId) });
      }
      await this.#move(containerId);
    }
  }

  /** Of one that does not run: another address, and its rules there. */
  async #move(containerId: string): Promise<void> {
    const address = this.#addresses.reserve();
    if (address === undefined) return;
    try {
      this.#addresses.shun(containerId);
      await this.#egress.leave(containerId);
      await this.#network.move(containerId, address);
      this.#addresses.assign(containerId, address);
    } catch (error) {
      this.#addresses.release(address);
      throw error;
    }
    await this.#egress.settle({ containerId, address });
  }

  /** A second means beside the filter of frames, which not every node has. */
  async isolatePorts(): Promise<void> {
    await isolatePorts(this.#base.bridge);
  }

  /** A container has begun to run at this address. Where it was given it beforehand, all is in place. */
  async welcome({ containerId, address }: { containerId: string; address: string }): Promise<void> {
    const given = this.#addresses.of(containerId);
    if (given !== undefined && given !== address) throw new Error(`${containerId} runs at ${address}, not at ${given}`);
    await this.#egress.settle({ containerId, address });
  }

  /** A container has ended, and may be started again. What it was given stays its, and its rules with it; else its address is anybody's now. */
  async rested(containerId: string): Promise<void> {
    if (this.#addresses.of(containerId) === undefined) await this.#egress.leave(containerId);
  }

  /** See EgressTable.set. `present`: asked for where the container was given no address for good. */
  async setEgress(containerId: string, rules: EgressRules, present: () => Promise<string | undefined>): Promise<void> {
    const address = this.#addresses.of(containerId) ?? (await present());
    await this.#egress.set({ containerId, address }, rules);
  }

  /** Of a container that is gone: first its rules, then its address. */
  async forget(containerId: string): Promise<void> {
    await this.#egress.clear(containerId);
    this.#addresses.forget(containerId);
    // The last of an earlier version's network may have been this one.
    if (this.#safe && !this.#addresses.areOurs) await this.#egress.exclusively(() => this.#openBridge());
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
      if ((await this.#findFault()) !== undefined) await this.#egress.exclusively(() => this.#putBack());
      if (!this.#safe) await this.#egress.exclusively(() => this.#openBridge());
      await isolatePorts(this.#base.bridge);
      await this.#holdFrames();
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
    return { ...this.#base, sandboxes: this.#egress.byAddress() };
  }

  /** Only with the rules in place, and then the rules again on top of what the engine wrote for the bridge. */
  async #openBridge(): Promise<void> {
    const { isNew, subnet, range } = await this.#network.ensure();
    this.#subnet = subnet;
    this.#addresses.use(range);
    if (isNew) await this.#firewall.apply(this.#plan());
    await setBridgeUp(this.#base.bridge, true);
  }

  /** The second of two means, and the only one that is there before a port is: without it a restore has to wait for the port. */
  async #holdFrames(): Promise<void> {
    if (this.#subnet === undefined) return;
    try {
      const { installationId, bridge } = this.#base;
      await this.#firewall.holdFrames({ installationId, bridge, subnet: this.#subnet });
      this.#framesHeld = true;
    } catch (error) {
      if (this.#framesHeld !== false) this.#options.log.warn('frames_not_filtered', { error: asError(error) });
      this.#framesHeld = false;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#guard);
    this.#guard = undefined;
    await this.#checking?.catch(() => undefined);
  }
}

/** Removes the installation's network, then its rules. Its containers must be gone. */
export async function removeNetwork(docker: DockerClient, installationId: string): Promise<void> {
  await docker
    .getNetwork(networkName(installationId))
    .remove()
    .catch((error: unknown) => {
      if (engineStatus(error) !== 404) throw error;
    });
  await removeFirewall(installationId);
  await removeFrameRules(installationId);
}
