import Docker from 'dockerode';

export type DockerClient = Docker;
/** What the published types lack. */
export type HostOptions = Docker.HostConfig & { CgroupnsMode?: 'private' | 'host' };
export type CreateOptions = Docker.ContainerCreateOptions & { HostConfig: HostOptions };

/** Longer than any call that the runner makes takes; a call that hangs is an engine that is gone. */
const callTimeoutMs = 60_000;

/** A client for one engine behind a unix socket. Calls fail after a minute without an answer. */
export function connectDocker(socketPath: string): DockerClient {
  return new Docker({ socketPath, timeout: callTimeoutMs });
}

/** Longer than writing or reading the memory of the largest that is written takes on a slow disk. */
const checkpointTimeoutMs = 5 * 60_000;

/** The same for calls that write memory to disk or bring it back: the engine goes on with those whoever waits for them. */
export function connectDockerForCheckpoints(socketPath: string): DockerClient {
  return new Docker({ socketPath, timeout: checkpointTimeoutMs });
}

/** The same without a deadline, for the event stream: silence is its normal state. */
export function connectDockerForEvents(socketPath: string): DockerClient {
  return new Docker({ socketPath });
}

/** The path in a DOCKER_HOST value. Throws for tcp and ssh: sandboxes' sockets and cgroups are read on the engine's own host. */
export function dockerSocketPath(dockerHost: string | undefined): string {
  if (dockerHost === undefined || dockerHost === '') return '/var/run/docker.sock';
  const match = /^unix:\/\/(\/.+)$/.exec(dockerHost);
  if (match?.[1] === undefined) {
    throw new Error(`DOCKER_HOST must be a unix socket on this machine (unix:///path), not ${dockerHost}`);
  }
  return match[1];
}

/** The HTTP status that the engine answered with, or undefined when it did not answer. */
export function engineStatus(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

export function engineMessage(error: unknown): string {
  return asError(error).message;
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
