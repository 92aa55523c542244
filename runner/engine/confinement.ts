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
}

/**
 * Starts a container that is new or at rest. What lies in its files, or in its memory, may be hostile and runs at once: its rules are in force
 * before. Then what the engine has no setting for, before anyone is let at it.
 */
export async function startConfined(
  { containerId, network }: { containerId: string; network: ContainerRequest['network'] },
  start: () => Promise<unknown>,
  { docker, facts, bridge }: ConfinementParts,
): Promise<void> {
  if (network === 'off') await start();
  else {
    await bridge.start(containerId, start);
    await bridge.isolatePorts();
  }
  try {
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
