import { constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { findContainerExit } from './container-exit.ts';
import type { ContainerFactsCache } from './container-facts.ts';
import type { DockerClient } from './docker-client.ts';
import type { SandboxNetwork } from './network.ts';
import type { ContainerRequest } from './port.ts';
import { limitSocketBuffers } from './socket-buffers.ts';

/** The engine learns of an end a moment after the kernel has taken the process's files away. */
const endSeenWithinMs = 1_000;
const endPollMs = 50;

interface ConfinementParts {
  docker: DockerClient;
  facts: ContainerFactsCache;
  bridge: SandboxNetwork;
  /** For programs that don't reach the engine's own at 127.0.0.11: those of a network stack of their own have another loopback. */
  resolver: string | undefined;
}

/**
 * Starts a container that is new or at rest. What lies in its files, or in its memory, may be hostile and runs at once: its rules are in force
 * before. Then what the engine has no setting for, before anyone is let at it.
 */
export async function startConfined(
  { containerId, network }: { containerId: string; network: ContainerRequest['network'] },
  start: () => Promise<unknown>,
  { docker, facts, bridge, resolver }: ConfinementParts,
): Promise<void> {
  if (network === 'off') await start();
  else {
    await bridge.start(containerId, start);
    await bridge.isolatePorts();
  }
  try {
    if (network === 'on' && resolver !== undefined) await nameResolver(docker, containerId, resolver);
    const { cgroup, address } = await facts.get(containerId);
    if (address !== undefined) await bridge.welcome({ containerId, address });
    await limitSocketBuffers(cgroup);
  } catch (cause) {
    // One that has already ended needs no limits, and why it did is its caller's to find out.
    if (!(await endsSoon(docker, containerId))) throw cause;
  }
}

async function endsSoon(docker: DockerClient, containerId: string): Promise<boolean> {
  const giveUpAtMs = performance.now() + endSeenWithinMs;
  for (;;) {
    if ((await findContainerExit(docker, containerId)) !== undefined) return true;
    if (performance.now() > giveUpAtMs) return false;
    await delay(endPollMs);
  }
}

/** The file is the engine's, in a folder of its own: a container can change what is in it, not what it is. */
async function nameResolver(docker: DockerClient, containerId: string, resolver: string): Promise<void> {
  const { ResolvConfPath } = await docker.getContainer(containerId).inspect();
  await writeFile(ResolvConfPath, `nameserver ${resolver}\noptions ndots:0\n`, {
    flag: constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW,
  });
}
