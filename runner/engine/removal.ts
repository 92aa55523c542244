import { setTimeout as delay } from 'node:timers/promises';
import { RunnerError } from '../protocol/errors.ts';
import { installationLabel } from './container-spec.ts';
import { connectDocker, engineStatus, type DockerClient } from './docker-client.ts';
import { removeNetwork } from './network.ts';

const removeTimeoutMs = 30_000;
const removePollMs = 50;

/** Kills and removes it with its writable layer and volumes; resolves once it is gone. */
export async function removeContainer(docker: DockerClient, containerId: string): Promise<void> {
  const deadline = performance.now() + removeTimeoutMs;
  const container = docker.getContainer(containerId);
  for (;;) {
    const failure = await container.remove({ force: true, v: true }).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined || engineStatus(failure) === 404) return;
    // 409: another removal is under way. 500: a mount is still busy. Both pass by themselves.
    const passing = engineStatus(failure) === 409 || engineStatus(failure) === 500;
    if (!passing || performance.now() > deadline) {
      throw new RunnerError('engine_failed', 'The container engine could not remove a container.', {
        cause: failure,
      });
    }
    await delay(removePollMs);
  }
}

/**
 * Removes all that an installation has left on an engine: containers, network, firewall chains. Fine when there is nothing;
 * nothing of another installation is touched.
 */
export async function removeInstallation(socketPath: string, installationId: string): Promise<void> {
  const docker = connectDocker(socketPath);
  const filters = { label: [`${installationLabel}=${installationId}`] };
  for (const { Id } of await docker.listContainers({ all: true, filters })) await removeContainer(docker, Id);
  await removeNetwork(docker, installationId);
}
