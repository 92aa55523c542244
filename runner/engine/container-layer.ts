import { setTimeout as delay } from 'node:timers/promises';
import { RunnerError } from '../protocol/errors.ts';
import { asError, engineMessage, engineStatus, type DockerClient } from './docker-client.ts';
import { packLayer, unpackLayer } from './layer.ts';

/** An engine that is started anew is back within this. */
const thawWithinMs = 30_000;
const thawRetryMs = 500;

export interface CapturedLayer {
  /** The image under the layer, by the hash of its content. */
  image: string;
  /** A tar, as layer.ts makes it. Fails, never just ends, when it is not whole. */
  layer: AsyncIterable<Uint8Array>;
}

/**
 * A container that runs stands still while `consume` reads; one that is paused or has ended stays so. Whatever `consume` does, nothing reads
 * its files any more when it goes on.
 */
export async function captureContainer<T>(
  docker: DockerClient,
  containerId: string,
  consume: (captured: CapturedLayer) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { directory, image, state } = await readLayer(docker, containerId);
  const running = state === 'running';
  if (running) {
    await docker
      .getContainer(containerId)
      .pause()
      .catch((cause: unknown) => {
        throw engineFailed('could not freeze a container', cause);
      });
  }
  const over = new AbortController();
  const walk = packLayer(directory, AbortSignal.any([signal, over.signal]));
  try {
    signal.throwIfAborted();
    const stillness = running ? 'paused' : state;
    return await consume({ image, layer: standingStill(walk, docker, containerId, stillness) });
  } finally {
    over.abort(new Error('nobody reads on'));
    await walk.return(undefined).catch(() => undefined); // what it has failed with was told to its reader
    if (running) await thaw(docker, containerId);
  }
}

/** Fails at its end where the container did not stay as it was: one that is ended, or whose engine stops, may run on for a moment first. */
async function* standingStill(
  walk: AsyncIterable<Uint8Array>,
  docker: DockerClient,
  containerId: string,
  stillness: LayerState,
): AsyncGenerator<Uint8Array> {
  yield* walk;
  if ((await readLayer(docker, containerId)).state === stillness) return;
  throw new RunnerError('sandbox_not_running', 'The sandbox did not stand still while its files were read.');
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

type LayerState = 'running' | 'paused' | 'ended';

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
  const { Running, Paused } = found.State;
  const state: LayerState = Paused ? 'paused' : Running ? 'running' : 'ended';
  return { directory, image: found.Image, state };
}

/** A sandbox must not stay frozen because the engine was away for a moment. */
async function thaw(docker: DockerClient, containerId: string): Promise<void> {
  const giveUpAtMs = performance.now() + thawWithinMs;
  for (;;) {
    try {
      return await docker.getContainer(containerId).unpause();
    } catch (cause) {
      // Removed, ended or thawed by somebody else meanwhile.
      if (engineStatus(cause) === 404 || /not paused|is not running/i.test(engineMessage(cause))) return;
      if (performance.now() > giveUpAtMs) throw engineFailed('could not thaw a container', cause);
    }
    await delay(thawRetryMs);
  }
}

const engineFailed = (what: string, cause: unknown): RunnerError =>
  new RunnerError('engine_failed', `The container engine ${what}.`, { cause: asError(cause) });
