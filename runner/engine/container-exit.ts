import { engineStatus, type DockerClient } from './docker-client.ts';
import { didNotAnswer } from './engine-failures.ts';
import { diagnoseExit } from './exit-diagnosis.ts';
import type { ContainerExit } from './port.ts';

/** How a container ended; undefined while it runs or when it is gone. */
export async function findContainerExit(docker: DockerClient, containerId: string): Promise<ContainerExit | undefined> {
  const found = await docker
    .getContainer(containerId)
    .inspect()
    .catch((error: unknown) => {
      if (engineStatus(error) === 404) return undefined;
      throw didNotAnswer(error);
    });
  if (found === undefined || found.State.Running) return undefined;
  const exit = { exitCode: found.State.ExitCode, oomKilled: found.State.OOMKilled };
  return { ...exit, unsupported: diagnoseExit({ ...exit, startError: found.State.Error }) };
}
