import type { PlacementRequest } from './ports.ts';

/** What placement knows of a runner. */
export interface PlacementNode {
  runnerId: string;
  /** Heard of lately, and not draining. */
  available: boolean;
  networks: readonly ('on' | 'off')[];
  /** Brings processes back that were written down elsewhere. */
  restoresMemory: boolean;
  memoryMiB: number;
  /** The host's own figure, as of the last beat. */
  memoryAvailableMiB: number;
  sandboxLimit: number;
  /** Live or reserved. */
  sandboxes: number;
  /** Of all of them. */
  reservedMiB: number;
  /** Of those that the last beat did not show yet: the host's figure doesn't contain them. */
  unseenMiB: number;
  /** Warm containers of each (template, network), less what was reserved since. */
  warm: readonly { template: string; network: 'on' | 'off'; count: number }[];
}

/** The part of its limit that a sandbox counts for: most sit idle. */
const RESERVED_SHARE = 0.2;
/** A node keeps this much available whatever its reservations say. */
const MEMORY_FLOOR_MIB = 512;
/** How many fitting nodes are compared. */
const CANDIDATES = 3;

export const reservationMiB = (memoryMiB: number): number => Math.ceil(memoryMiB * RESERVED_SHARE);

export const fits = (node: PlacementNode, request: PlacementRequest): boolean => {
  const wantedMiB = reservationMiB(request.memoryMiB);
  return (
    node.available &&
    !request.exclude.includes(node.runnerId) &&
    node.networks.includes(request.network) &&
    node.sandboxes < node.sandboxLimit &&
    request.memoryMiB <= node.memoryMiB &&
    node.reservedMiB + wantedMiB <= node.memoryMiB &&
    node.memoryAvailableMiB - node.unseenMiB - wantedMiB >= MEMORY_FLOOR_MIB
  );
};

export const warmCount = (node: PlacementNode, request: Pick<PlacementRequest, 'template' | 'network'>): number =>
  node.warm.find((entry) => entry.template === request.template && entry.network === request.network)?.count ?? 0;

/**
 * The preferred one where it fits. Else the better of a few fitting nodes drawn at random, of those that bring processes back where that is asked for and there are any: more warm containers of the template first, then less of its memory reserved.
 * `random` gives [0, 1). Undefined where none fits.
 */
export const choosePlace = (
  nodes: readonly PlacementNode[],
  request: PlacementRequest,
  random: () => number,
): PlacementNode | undefined => {
  const fitting = nodes.filter((node) => fits(node, request));
  const preferred = fitting.find(({ runnerId }) => runnerId === request.prefer);
  if (preferred) return preferred;
  const able = request.restoresMemory ? fitting.filter((node) => node.restoresMemory) : [];
  const candidates = able.length > 0 ? able : fitting;
  const drawn = Array.from({ length: Math.min(CANDIDATES, candidates.length) }, () => {
    const [node] = candidates.splice(Math.floor(random() * candidates.length), 1);
    return node;
  }).filter((node) => node !== undefined);
  return drawn.sort((a, b) => warmCount(b, request) - warmCount(a, request) || load(a) - load(b))[0];
};

const load = (node: PlacementNode): number => node.reservedMiB / node.memoryMiB;
