import { findContainerExit } from './container-exit.ts';
import type { ContainerFactsCache } from './container-facts.ts';
import type { DockerClient } from './docker-client.ts';
import type { SandboxNetwork } from './network.ts';
import type { ContainerRequest } from './port.ts';
import { limitSocketBuffers } from './socket-buffers.ts';

/** What the engine has no setting for; before anyone can run a thing in the container, which has just been started. */
export async function confine(
  { containerId, network }: { containerId: string; network: ContainerRequest['network'] },
  { docker, facts, bridge }: { docker: DockerClient; facts: ContainerFactsCache; bridge: SandboxNetwork },
): Promise<void> {
  if (network === 'on') await bridge.isolatePorts();
  try {
    const { cgroup, address } = await facts.get(containerId);
    if (address !== undefined) await bridge.welcome({ containerId, address });
    await limitSocketBuffers(cgroup);
  } catch (cause) {
    // One that has already ended needs no limits, and why it did is its caller's to find out.
    if ((await findContainerExit(docker, containerId)) === undefined) throw cause;
  }
}
