import type Docker from 'dockerode';
import { divide, ownRange, type AddressRange } from './addresses.ts';
import { installationLabel, networkName } from './container-spec.ts';
import { engineMessage, engineStatus, type DockerClient } from './docker-client.ts';
import { uplinkMtuBytes } from './node-network.ts';

/** Somebody may take the subnet between two steps. */
const divideTries = 3;

interface Ipam {
  Subnet?: string;
  IPRange?: string;
  Gateway?: string;
}

/** The bridge as the engine made it. */
export interface BridgeState {
  isNew: boolean;
  subnet: string;
  /** undefined: the engine gives the addresses. */
  range: AddressRange | undefined;
}

/** The engine's network of an installation. */
export class BridgeNetwork {
  readonly #docker: DockerClient;
  readonly #installationId: string;
  readonly name: string;
  readonly bridge: string;

  constructor(docker: DockerClient, installationId: string) {
    this.#docker = docker;
    this.#installationId = installationId;
    this.name = networkName(installationId);
    this.bridge = bridgeName(installationId);
  }

  /**
   * Made where there is none. The engine chooses the subnet among those that are free, and has a half of it for itself; it takes an address
   * from us in a network only whose subnet it was told, so it is told its own choice. One that is not divided so (an earlier version's) is made
   * anew, unless something runs in it.
   */
  async ensure(): Promise<BridgeState> {
    let found = await this.#find();
    let isNew = false;
    for (let tries = 0; ; tries++) {
      if (found === undefined) {
        await this.#create(undefined);
        isNew = true;
        found = await this.#find();
      }
      if (found?.subnet === undefined) throw new Error(`the network ${this.name} has no subnet`);
      const { subnet, range, inUse } = found;
      const parts = range || inUse || tries === divideTries ? undefined : divide(subnet);
      if (parts === undefined) return { isNew, subnet, range };
      await this.#docker.getNetwork(this.name).remove();
      isNew = true;
      await this.#create({ Subnet: subnet, IPRange: parts.engineRange, Gateway: parts.gateway }).catch(
        (error: unknown) => {
          if (!/overlap/i.test(engineMessage(error))) throw error;
        },
      );
      found = await this.#find();
    }
  }

  /** A container that does not run has this address from now on. */
  async move(containerId: string, address: string): Promise<void> {
    const network = this.#docker.getNetwork(this.name);
    await network.disconnect({ Container: containerId }).catch((error: unknown) => {
      if (!/not connected/i.test(engineMessage(error))) throw error;
    });
    await network.connect({ Container: containerId, EndpointConfig: { IPAMConfig: { IPv4Address: address } } });
  }

  /** Of the installation's containers in it, whether they run or not: the address that each was given for good, or has now. */
  async places(): Promise<{ containerId: string; given: string | undefined; present: string | undefined }[]> {
    const filters = { label: [`${installationLabel}=${this.#installationId}`] };
    const found = await this.#docker.listContainers({ all: true, filters });
    return found.flatMap(({ Id, NetworkSettings }) => {
      const endpoint = NetworkSettings.Networks[this.name] as Docker.EndpointSettings | undefined;
      if (endpoint === undefined) return [];
      const { IPAMConfig, IPAddress } = endpoint;
      return [{ containerId: Id, given: IPAMConfig?.IPv4Address || undefined, present: IPAddress || undefined }];
    });
  }

  async #find() {
    try {
      const { IPAM, Containers } = await this.#docker.getNetwork(this.name).inspect();
      const config = (IPAM?.Config as Ipam[] | null | undefined)?.[0];
      const subnet = config?.Subnet;
      const range = subnet === undefined ? undefined : ownRange(subnet, config?.IPRange || undefined);
      return { subnet, range, inUse: Object.keys(Containers ?? {}).length > 0 };
    } catch (error) {
      if (engineStatus(error) === 404) return undefined;
      throw error;
    }
  }

  async #create(addresses: Required<Ipam> | undefined): Promise<void> {
    await this.#docker.createNetwork({
      Name: this.name,
      CheckDuplicate: true,
      Driver: 'bridge',
      EnableIPv6: false,
      ...(addresses === undefined ? {} : { IPAM: { Driver: 'default', Config: [addresses] } }),
      Labels: { [installationLabel]: this.#installationId },
      Options: {
        'com.docker.network.bridge.name': this.bridge,
        'com.docker.network.bridge.enable_icc': 'false',
        'com.docker.network.driver.mtu': String(await uplinkMtuBytes()),
      },
    });
  }
}

/** An interface's name holds 15 characters: this uses all. */
export const bridgeName = (installationId: string): string => `gbx${installationId}`;
