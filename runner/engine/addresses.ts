import { RunnerError } from '../protocol/errors.ts';
import { parseNetwork, printAddress, printNetwork, sizeOf } from './ipv4.ts';

/** Of a bridge's network, from its first address to its last. */
export interface AddressRange {
  first: number;
  last: number;
}

/** Smaller ones are not divided. */
const prefixBitsMax = 28;
/** The network's own address and the gateway's come first. */
const leading = 2;

/**
 * A network's parts: the gateway, the upper half, which the engine gives addresses from by itself, and the lower half, where it gives only those
 * that it is told to. undefined where it is too small, or no IPv4.
 */
export function divide(subnet: string): { gateway: string; engineRange: string } | undefined {
  const network = parseNetwork(subnet);
  if (network === undefined || network.length > prefixBitsMax) return undefined;
  const upper = { base: network.base + sizeOf(network) / 2, length: network.length + 1 };
  return { gateway: printAddress(network.base + 1), engineRange: printNetwork(upper) };
}

/** The part that is ours to give; undefined where the engine may give any of them to anybody. */
export function ownRange(subnet: string, engineRange: string | undefined): AddressRange | undefined {
  const network = parseNetwork(subnet);
  const engines = engineRange === undefined ? undefined : parseNetwork(engineRange);
  if (network === undefined || engines === undefined) return undefined;
  const range = { first: network.base + leading, last: engines.base - 1 };
  return range.last < range.first ? undefined : range;
}

/**
 * Which address is which container's: from before its first start until it is gone, also while it rests. So a container's rules can be in
 * force before anything runs in it, and nobody comes to an address that is still another's.
 */
export class Addresses {
  readonly #byContainer = new Map<string, string>();
  /** Beside containers' own: of those that are just being made, and of what others were found to have. */
  readonly #reserved = new Set<string>();
  #range: AddressRange | undefined;
  #next = 0;

  /** Where new ones come from; undefined where the engine gives them at each start. */
  use(range: AddressRange | undefined): void {
    this.#range = range;
  }

  get areOurs(): boolean {
    return this.#range !== undefined;
  }

  of(containerId: string): string | undefined {
    return this.#byContainer.get(containerId);
  }

  /** Nobody else gets it until it is released. undefined where they are not ours to give; throws engine_failed when all are in use. */
  reserve(): string | undefined {
    if (this.#range === undefined) return undefined;
    const { first, last } = this.#range;
    const size = last - first + 1;
    const used = new Set([...this.#byContainer.values(), ...this.#reserved]);
    for (let tries = 0; tries < size; tries++) {
      // In turn, so that one that was given up rests for as long as possible.
      const address = printAddress(first + (this.#next++ % size));
      if (used.has(address)) continue;
      this.#reserved.add(address);
      return address;
    }
    throw new RunnerError('engine_failed', 'The sandboxes’ network on this node has no address left.');
  }

  release(address: string | undefined): void {
    if (address !== undefined) this.#reserved.delete(address);
  }

  assign(containerId: string, address: string): void {
    this.#reserved.delete(address);
    this.#byContainer.set(containerId, address);
  }

  /** Its container's no more, and nobody's until this process ends: somebody whom we don't know has it. */
  shun(containerId: string): void {
    const address = this.#byContainer.get(containerId);
    if (address !== undefined) this.#reserved.add(address);
    this.#byContainer.delete(containerId);
  }

  forget(containerId: string): void {
    this.#byContainer.delete(containerId);
  }
}
