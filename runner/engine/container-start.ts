import { startConfined } from './confinement.ts';
import type { ContainerFactsCache } from './container-facts.ts';
import { containerSpec, type ImageFacts, type SpecContext } from './container-spec.ts';
import type { DockerClient } from './docker-client.ts';
import { createFailure, startFailure } from './engine-failures.ts';
import type { CapturedMemory } from './memory-images.ts';
import type { SandboxNetwork } from './network.ts';
import type { ContainerRequest } from './port.ts';

interface StartParts {
  docker: DockerClient;
  facts: ContainerFactsCache;
  bridge: SandboxNetwork;
  /** See ConfinementParts. */
  resolver: string | undefined;
  spec: SpecContext;
  /** Into a container that was made and not started yet. */
  fill: (containerId: string, filesystem: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<void>;
  /** Starts it with what ran elsewhere; false where that can't be brought back, and nothing runs in it yet. */
  restore: (
    containerId: string,
    what: { network: 'on' | 'off'; memory: CapturedMemory },
    signal: AbortSignal,
  ) => Promise<boolean>;
  /** Never rejects: what can't be removed now stays in the engine's list. */
  discard: (containerId: string) => Promise<void>;
}

/** From a request to a container that runs, as the engine's port has it. */
export async function startContainer(
  parts: StartParts,
  { image, request }: { image: ImageFacts; request: ContainerRequest },
  signal: AbortSignal,
): Promise<{ containerId: string; memoryKept: boolean }> {
  const { docker, facts, bridge, resolver, fill, restore, discard } = parts;
  const containerId = await create(parts, image, request);
  try {
    signal.throwIfAborted();
    if (request.filesystem) await fill(containerId, request.filesystem, signal);
    if (request.egress) await bridge.setEgress(containerId, request.egress, async () => undefined);
    const { network, memory } = request;
    const memoryKept = memory !== undefined && (await restore(containerId, { network, memory }, signal));
    const start = () => docker.getContainer(containerId).start();
    if (!memoryKept) await startConfined({ containerId, network }, start, { docker, facts, bridge, resolver });
    signal.throwIfAborted();
    return { containerId, memoryKept };
  } catch (cause) {
    await discard(containerId);
    if (signal.aborted) throw signal.reason;
    throw startFailure(cause);
  }
}

/** With an address of its own, where it has a network. */
async function create({ docker, bridge, spec }: StartParts, image: ImageFacts, request: ContainerRequest) {
  const address = request.network === 'on' ? bridge.reserveAddress() : undefined;
  try {
    const { id } = await docker.createContainer(containerSpec(spec, image, request, address));
    bridge.assignAddress(id, address);
    return id;
  } catch (cause) {
    bridge.releaseAddress(address);
    throw createFailure(cause);
  }
}
