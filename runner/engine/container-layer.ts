import { setTimeout as delay } from 'node:timers/promises';
import { RunnerError } from '../protocol/errors.ts';
import { asError, engineMessage, engineStatus, type DockerClient } from './docker-client.ts';
import { packLayer, unpackLayer } from './layer.ts';

const thawAttemptsMax = 5;
const thawRetryMs = 500;

export interface CapturedLayer {
  /** The image under the layer, by the hash of its content. */
  image: string;
  /** A tar, as layer.ts makes it. Fails, never just ends, when it is not whole. */
  layer: AsyncIterable<Uint8Array>;
}

/** A container that runs stands still while `consume` reads; one that is paused or has ended stays so. */
export async function captureContainer<T>(
  docker: DockerClient,
  containerId: string,
  consume: (captured: CapturedLayer) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { directory, image, running } = await readLayer(docker, containerId);
  const container = docker.getContainer(containerId);
  if (running) {
    await container.pause().catch((cause: unknown) => {
      throw engineFailed('could not freeze a container', cause);
    });
  }
  try {
    signal.throwIfAborted();
    return await consume({ image, layer: packLayer(directory, signal) });
  } finally {
    if (running) await thaw(docker, containerId);
  }
}

/** What a container that was made and not started yet begins with. */
export async function fillContainer(
  docker: DockerClient,
  containerId: string,
  layer: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const { directory } = await readLayer(docker, containerId);
  await unpackLayer(directory, layer, signal);
}

async function readLayer(docker: DockerClient, containerId: string) {
  const found = await docker
    .getContainer(containerId)
    .inspect()
    .catch((cause: unknown) => {
      if (engineStatus(cause) === 404)
        throw new RunnerError('sandbox_not_running', 'The container is gone.', { cause });
      throw engineFailed('did not answer', cause);
    });
  const directory = (found.GraphDriver.Data as Record<string, string> | null)?.['UpperDir'];
  if (found.GraphDriver.Name !== 'overlay2' || directory === undefined) {
    throw new RunnerError('not_supported', 'This node cannot take or boot snapshots.');
  }
  return { directory, image: found.Image, running: found.State.Running && !found.State.Paused };
}

/** A sandbox must not stay frozen because the engine was away for a moment. */
async function thaw(docker: DockerClient, containerId: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await docker.getContainer(containerId).unpause();
    } catch (cause) {
      // Removed, ended or thawed by somebody else meanwhile.
      if (engineStatus(cause) === 404 || /not paused|is not running/i.test(engineMessage(cause))) return;
      if (attempt >= thawAttemptsMax) throw engineFailed('could not thaw a container', cause);
    }
    await delay(thawRetryMs);
  }
}

const engineFailed = (what: string, cause: unknown): RunnerError =>
  new RunnerError('engine_failed', `The container engine ${what}.`, { cause: asError(cause) });
