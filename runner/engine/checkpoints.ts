import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Container } from 'dockerode';
import { RunnerError } from '../protocol/errors.ts';
import { keepOwnMasks } from './checkpoint-mounts.ts';
import { engineMessage, engineStatus, type DockerClient } from './docker-client.ts';

/** One at a time of each container; the engine keeps it in the container's own folder (0700) and removes it with the container. */
const name = 'glovebox';
/** More than this takes too long to write while somebody waits; it is frozen instead. */
export const memoryBytesMax = 1024 ** 3;
/** The engine has the images as CRIU wrote them, as containerd keeps them and in the container's folder, for a moment all at once. */
const copies = 3;
/** Stays free beside them. */
const diskMarginBytes = 1024 ** 3;
/**
 * The engine hands the images over to containerd by their digest, and refuses the digest of those that it has only just handed over when
 * it wrote them, until containerd has collected them.
 */
const collectedWithinMs = 15_000;
const retryMs = 100;

/** What the published types lack. */
interface WithCheckpoints {
  createCheckpoint(options: { CheckpointID: string; Exit: boolean }): Promise<unknown>;
  deleteCheckpoint(checkpoint: string): Promise<unknown>;
  /** Apart, since the engine refuses a start with a body that says something. */
  start(options: { _query: { checkpoint: string }; _body: Record<string, never> }): Promise<unknown>;
}
const withCheckpoints = (container: Container): WithCheckpoints => container as unknown as WithCheckpoints;

/**
 * Whether a restored container's masks are the node's own /dev/null, whose mode and owner its root could change then (checkpoint-mounts.ts).
 * Only of a container in which nothing but ours runs.
 */
export async function sharesNodeDevice(pid: number, maskedPaths: readonly string[]): Promise<boolean> {
  const node = await stat('/dev/null');
  const masks = await Promise.allSettled(maskedPaths.map((path) => stat(`/proc/${pid}/root${path}`)));
  return masks.some(
    (mask) => mask.status === 'fulfilled' && mask.value.dev === node.dev && mask.value.ino === node.ino,
  );
}

/** Containers' processes on disk, by the engine's own means (CRIU, in its experimental mode). */
export class Checkpoints {
  readonly #docker: DockerClient;
  readonly #dataRoot: () => string;
  /** What is being written or brought back takes so much of the disk, whether it does yet or not. */
  #reservedBytes = 0;

  /** `dataRoot`: of the engine's own files. */
  constructor(docker: DockerClient, dataRoot: () => string) {
    this.#docker = docker;
    this.#dataRoot = dataRoot;
  }

  /** Has room on the disk for images of so many bytes while `work` runs, or refuses. */
  async withRoom<T>(imageBytes: number, work: () => Promise<T>): Promise<T> {
    const neededBytes = copies * imageBytes;
    this.#reservedBytes += neededBytes;
    try {
      const disk = await statfs(this.#dataRoot());
      if (disk.bavail * disk.bsize < this.#reservedBytes + diskMarginBytes) {
        throw new RunnerError('engine_failed', 'The node’s disk has no room for its memory.');
      }
      return await work();
    } finally {
      this.#reservedBytes -= neededBytes;
    }
  }

  /** Of a container that stands still. `exit`: its processes have ended when this resolves. Else, and where it rejects, they stand still. */
  async write(containerId: string, { exit }: { exit: boolean }): Promise<void> {
    const container = withCheckpoints(this.#docker.getContainer(containerId));
    await this.discard(containerId);
    await container.createCheckpoint({ CheckpointID: name, Exit: exit });
  }

  /** Where its images are, or are looked for by restore(). */
  folderOf(containerId: string): string {
    return join(this.#dataRoot(), 'containers', containerId, 'checkpoints', name);
  }

  async restore(containerId: string): Promise<void> {
    const container = withCheckpoints(this.#docker.getContainer(containerId));
    // Here, so that none is restored without it, whoever wrote it and whatever came in between.
    await keepOwnMasks(this.folderOf(containerId));
    const giveUpAtMs = performance.now() + collectedWithinMs;
    for (;;) {
      try {
        await container.start({ _query: { checkpoint: name }, _body: {} });
        return;
      } catch (error) {
        if (!/already exists/.test(engineMessage(error)) || performance.now() > giveUpAtMs) throw error;
      }
      await delay(retryMs);
    }
  }

  /** It holds all that was in memory, secrets too. None is fine. */
  async discard(containerId: string): Promise<void> {
    try {
      await withCheckpoints(this.#docker.getContainer(containerId)).deleteCheckpoint(name);
    } catch (error) {
      // 501: outside of its experimental mode the engine makes none.
      const status = engineStatus(error);
      const none = status === 404 || status === 501 || /does not exist|no such/i.test(engineMessage(error));
      if (!none) throw error;
    }
  }
}
