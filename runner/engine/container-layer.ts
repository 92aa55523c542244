import { setTimeout as delay } from 'node:timers/promises';
import { RunnerError } from '../protocol/errors.ts';
import { asError, engineStatus, type DockerClient } from './docker-client.ts';
import { notPaused } from './engine-failures.ts';
import { packLayer, unpackLayer } from './layer.ts';
import type { CapturedMemory } from './memory-images.ts';

/** An engine that is started anew is back within this. */
const thawWithinMs = 30_000;
const thawRetryMs = 500;

export interface Captured {
  /** The image under the layer, by the hash of its content. */
  image: string;
  /** A tar, as layer.ts makes it. Fails, never just ends, when it is not whole. A container that ran goes on at its end. */
  layer: AsyncIterable<Uint8Array>;
  /** Of the same moment; read after the layer. */
  memory: CapturedMemory | undefined;
  /** Why there is none although it was asked for. */
  memoryFailure: Error | undefined;
}

interface Capture<T> {
  docker: DockerClient;
  containerId: string;
  /** Writes down what runs in a container that stands still; absent where its files are enough. */
  captureMemory?: (() => Promise<CapturedMemory>) | undefined;
  consume: (captured: Captured) => Promise<T>;
}

/**
 * A container that runs stands still until its layer has been read; one that is paused or has ended stays so. Whatever `consume` does,
 * nothing reads its files any more when it goes on.
 */
export async function captureContainer<T>(capture: Capture<T>, signal: AbortSignal): Promise<T> {
  const { docker, containerId, captureMemory, consume } = capture;
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
  const goOn = once(async () => (running ? await thaw(docker, containerId) : undefined));
  const over = new AbortController();
  const walk = packLayer(directory, AbortSignal.any([signal, over.signal]));
  try {
    signal.throwIfAborted();
    const stillness = running ? 'paused' : state;
    const memory = await captureMemory?.().catch(asError);
    const layer = standingStill(walk, { docker, containerId, stillness, goOn });
    const failed = memory instanceof Error;
    return await consume({
      image,
      layer,
      memory: failed ? undefined : memory,
      memoryFailure: failed ? memory : undefined,
    });
  } finally {
    over.abort(new Error('nobody reads on'));
    await walk.return(undefined).catch(() => undefined); // what it has failed with was told to its reader
    await goOn();
  }
}

const once = (work: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
};

interface Standing {
  docker: DockerClient;
  containerId: string;
  stillness: LayerState;
  goOn: () => Promise<void>;
}

/** Fails at its end where the container did not stay as it was: one that is ended, or whose engine stops, may run on for a moment first. */
async function* standingStill(
  walk: AsyncIterable<Uint8Array>,
  { docker, containerId, stillness, goOn }: Standing,
): AsyncGenerator<Uint8Array> {
  yield* walk;
  if ((await readLayer(docker, containerId)).state !== stillness) {
    throw new RunnerError('sandbox_not_running', 'The sandbox did not stand still while its files were read.');
  }
  await goOn();
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
      if (engineStatus(cause) === 404 || notPaused(cause)) return;
      if (performance.now() > giveUpAtMs) throw engineFailed('could not thaw a container', cause);
    }
    await delay(thawRetryMs);
  }
}

const engineFailed = (what: string, cause: unknown): RunnerError =>
  new RunnerError('engine_failed', `The container engine ${what}.`, { cause: asError(cause) });
