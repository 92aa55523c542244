import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../log.ts';
import { RunnerError } from '../protocol/errors.ts';

/** The file system keeps this much, whatever is written here, but for what is written between two looks at it. */
const freeFloorBytes = 1024 ** 3;
const lookAfterBytes = 64 * 1024 ** 2;
const readBytes = 256 * 1024;
const fileName = /^([0-9a-f]{32})\.sealed$/;

interface Kept {
  sizeBytes: number;
  /** Readers and writers; it is not evicted while there are any. */
  users: number;
}

/**
 * Sealed snapshots on this node: those that were taken here and those that were fetched, the least recently used going first when they
 * take more than the limit. No key is kept beside them, so that a disk that is taken away tells nothing.
 */
export class SnapshotStore {
  readonly #directory: string;
  readonly #limitBytes: number;
  readonly #log: Logger;
  readonly #freeBytes: () => Promise<number>;
  /** The least recently used come first. */
  readonly #kept = new Map<string, Kept>();

  /** `freeBytes`: of the file system, unless it is to be asked. */
  constructor(parts: { directory: string; limitBytes: number; log: Logger; freeBytes?: () => Promise<number> }) {
    this.#directory = parts.directory;
    this.#limitBytes = parts.limitBytes;
    this.#log = parts.log;
    this.#freeBytes = parts.freeBytes ?? (() => statfs(parts.directory).then(({ bavail, bsize }) => bavail * bsize));
  }

  /** Finds what an earlier life has left; what that did not finish is removed. */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const found: { id: string; size: number; mtimeMs: number }[] = [];
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const id = fileName.exec(name)?.[1];
      if (id === undefined) {
        await rm(path, { force: true });
        continue;
      }
      const { size, mtimeMs } = await stat(path);
      found.push({ id, size, mtimeMs });
    }
    for (const { id, size } of found.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
      this.#kept.set(id, { sizeBytes: size, users: 0 });
    }
    await this.#trim();
  }

  has(id: string): boolean {
    return this.#kept.has(id);
  }

  /** Writes it whole or not at all; one that is there is replaced. Throws no_space. */
  async write(id: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<{ sizeBytes: number }> {
    await this.#requireRoom();
    const partial = join(this.#directory, `${id}.${randomBytes(4).toString('hex')}.partial`);
    try {
      await pipeline(this.#whileRoom(source), createWriteStream(partial, { mode: 0o600, flags: 'wx' }), { signal });
      const { size } = await stat(partial);
      await rename(partial, this.#path(id));
      // Whoever uses the one before it goes on counting here.
      this.#used(id, Object.assign(this.#kept.get(id) ?? { users: 0 }, { sizeBytes: size }));
      // Last, so that it is there for whoever wrote it even if it is larger than the limit.
      await this.#trim(id);
      return { sizeBytes: size };
    } catch (error) {
      await rm(partial, { force: true });
      signal.throwIfAborted(); // why says more than that
      throw isFull(error) ? noRoom(error) : error;
    }
  }

  /** Its bytes are there until `work` settles. Throws snapshot_unavailable where it is not here. */
  async use<T>(id: string, work: (file: SnapshotFile) => Promise<T>): Promise<T> {
    const kept = this.#kept.get(id);
    if (!kept) throw new RunnerError('snapshot_unavailable', 'The snapshot is not on this node any more.');
    kept.users += 1;
    this.#used(id, kept);
    const path = this.#path(id);
    try {
      await this.#noteUse(id, path);
      return await work({
        sizeBytes: kept.sizeBytes,
        read: (range) =>
          createReadStream(path, {
            highWaterMark: readBytes,
            ...(range && { start: range.offset, end: range.offset + range.length - 1 }),
          }),
      });
    } finally {
      kept.users -= 1;
      await this.#trim();
    }
  }

  #used(id: string, kept: Kept): void {
    this.#kept.delete(id);
    this.#kept.set(id, kept);
  }

  /** For the next life of the runner, which knows the order of use by the files' times. */
  async #noteUse(id: string, path: string): Promise<void> {
    const now = new Date();
    await utimes(path, now, now).catch((cause: unknown) => {
      // Somebody has tidied up here.
      this.#kept.delete(id);
      throw new RunnerError('snapshot_unavailable', 'The snapshot is not on this node any more.', { cause });
    });
  }

  /** Missing is fine. Whoever reads it reads on. */
  async remove(id: string): Promise<void> {
    this.#kept.delete(id);
    await rm(this.#path(id), { force: true });
  }

  /** The installation leaves the node. */
  async clear(): Promise<void> {
    this.#kept.clear();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.sealed`);
  }

  async #trim(spared?: string): Promise<void> {
    let bytes = [...this.#kept.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const [id, { sizeBytes, users }] of this.#kept) {
      if (bytes <= this.#limitBytes) return;
      if (users > 0 || id === spared) continue;
      await this.remove(id);
      bytes -= sizeBytes;
      this.#log.info('snapshot_evicted', { snapshotId: id, sizeBytes });
    }
  }

  async *#whileRoom(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let writtenBytes = 0;
    for await (const chunk of source) {
      writtenBytes += chunk.length;
      if (writtenBytes >= lookAfterBytes) {
        await this.#requireRoom();
        writtenBytes = 0;
      }
      yield chunk;
    }
  }

  async #requireRoom(): Promise<void> {
    const freeBytes = await this.#freeBytes();
    if (freeBytes < freeFloorBytes) throw noRoom(new Error(`${freeBytes} bytes are free`));
  }
}

export interface SnapshotFile {
  sizeBytes: number;
  read(range?: { offset: number; length: number }): AsyncIterable<Uint8Array>;
}

const isFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');

const noRoom = (cause: unknown): RunnerError =>
  new RunnerError('no_space', 'The node has no room for a snapshot now.', { cause });
