import { closeSync, readSync } from 'node:fs';
import type { FileRead, FileWrite, ReadHead, WriteResult } from '../../../protocol/files.ts';
import { frameBounds } from '../../../protocol/agent.ts';
import { DataConnection } from '../data-connection.ts';
import { AgentFault, fileFault, toFault } from '../fault.ts';
import type { Identity } from '../identity.ts';
import { asIdentity, callerOf } from '../identity.ts';
import { absolutePath, describe, fileInfo, findFollowing, told } from './info.ts';
import type { ByteSink } from './sink.ts';
import { openSink } from './sink.ts';
import { nextTurn } from './slices.ts';
import { openSource } from './source.ts';
import { tarOf } from './tar-source.ts';
import type { Uploads } from './uploads.ts';

const transfersMax = 64;
/** After this many bytes in a row a transfer lets others through. */
const turnBytes = 1024 * 1024;
/** /proc says size 0 for files that have content: such a file is read whole, up to this. */
const unsizedBytesMax = 4 * 1024 * 1024;

/** File bytes out of and into the sandbox, each over a data connection of its own. */
export class Transfers {
  #running = 0;
  readonly #socketPath: string;
  readonly #uploads: Uploads;

  constructor(socketPath: string, uploads: Uploads) {
    this.#socketPath = socketPath;
    this.#uploads = uploads;
  }

  /** Answers what will be sent; the bytes follow on the data connection. */
  read(read: FileRead, token: string): ReadHead {
    const user = callerOf(read);
    const path = absolutePath(read.path, user.home);
    this.#admit();
    try {
      const source = asIdentity(user, () => (read.kind === 'tar' ? tarSource(path) : fileSource(path, read)));
      void this.#send(source, user, token);
      return source.head;
    } catch (error) {
      this.#running -= 1;
      throw error;
    }
  }

  async write(write: FileWrite, token: string): Promise<WriteResult> {
    this.#admit();
    try {
      const user = callerOf(write);
      const sink = asIdentity(user, () => openSink(write, user, this.#uploads));
      return await this.#receive(sink, user, token);
    } finally {
      this.#running -= 1;
    }
  }

  #admit(): void {
    if (this.#running >= transfersMax) {
      throw new AgentFault(
        'too_many_connections',
        `${transfersMax} transfers run in this sandbox already; try again later.`,
      );
    }
    this.#running += 1;
  }

  async #send(source: Source, user: Identity, token: string): Promise<void> {
    let connection: DataConnection | undefined;
    try {
      const nothing = (): void => undefined;
      connection = await DataConnection.dial(this.#socketPath, token, {
        chunk: nothing,
        end: nothing,
        closed: nothing,
      });
      let turn = 0;
      for (;;) {
        const piece = asIdentity(user, () => source.pieces.next());
        if (piece.done === true) break;
        await connection.send(piece.value);
        turn += piece.value.length + 512;
        if (turn < turnBytes) continue;
        turn = 0;
        await nextTurn();
      }
      await connection.finish();
    } catch (error) {
      // A host that has gone is no fault of anyone's.
      if (connection?.closed === false) await connection.finish(toFault(fileFault(error, 'The file')));
    } finally {
      this.#running -= 1;
      source.close();
    }
  }

  async #receive(sink: ByteSink, user: Identity, token: string): Promise<WriteResult> {
    const { promise, resolve, reject } = Promise.withResolvers<WriteResult>();
    let settled = false;
    const settle = (work: () => WriteResult | undefined): void => {
      if (settled) return;
      try {
        const result = asIdentity(user, work);
        if (result === undefined) return;
        settled = true;
        resolve(result);
      } catch (error) {
        settled = true;
        asIdentity(user, () => sink.discard());
        reject(fileFault(error, 'The file'));
      }
    };
    const cut = (): never => {
      throw new AgentFault('transfer_failed', 'The bytes did not arrive whole; nothing was changed.');
    };
    try {
      const connection = await DataConnection.dial(this.#socketPath, token, {
        chunk: (bytes) =>
          settle(() => {
            sink.write(bytes);
            return undefined;
          }),
        end: () => settle(() => sink.finish()),
        closed: () => settle(cut),
      });
      return await promise.finally(() => connection.close());
    } catch (error) {
      settle(() => {
        throw error;
      });
      return await promise;
    }
  }
}

interface Source {
  head: ReadHead;
  /** To be advanced with the identity of the reader. */
  pieces: Generator<Uint8Array, void>;
  close(): void;
}

function tarSource(path: string): Source {
  const stat = findFollowing(path);
  if (stat === undefined) throw new AgentFault('file_not_found', `${path}: no such file or directory`);
  if (!stat.isDirectory()) throw new AgentFault('not_a_directory', `${path}: it is not a directory`);
  const pieces = tarOf(path, new Uint8Array(frameBounds.chunkBytes));
  return { head: { entry: fileInfo(path, { followSymlinks: true }) }, pieces, close: () => void pieces.return() };
}

function fileSource(path: string, read: Extract<FileRead, { kind: 'file' }>): Source {
  const { fd, stat } = openSource(path);
  try {
    const unsized = stat.size === 0 ? readUnsized(fd, path) : undefined;
    const size = unsized?.length ?? stat.size;
    const asked = read.rangeStart ?? 0;
    const start = asked < 0 ? Math.max(0, size + asked) : asked;
    if (start > size || (start === size && read.rangeStart !== undefined && size > 0)) {
      throw new AgentFault('range_not_satisfiable', `${path}: it has ${size} bytes; the range starts after them`);
    }
    const contentBytes = Math.min(size - start, read.rangeBytes ?? Infinity);
    const head = { entry: describe(path, stat), contentBytes, rangeStart: start };
    const pieces =
      unsized === undefined
        ? fileBytes(fd, path, start, contentBytes)
        : inMemory(unsized.subarray(start, start + contentBytes));
    return { head, pieces, close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function readUnsized(fd: number, path: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let held = 0;
  for (;;) {
    const part = new Uint8Array(64 * 1024);
    const bytes = told(path, () => readSync(fd, part));
    if (bytes === 0) return Buffer.concat(parts);
    parts.push(part.subarray(0, bytes));
    held += bytes;
    if (held > unsizedBytesMax) throw new AgentFault('file_too_large', `${path}: it has no end`);
  }
}

function* inMemory(bytes: Uint8Array): Generator<Uint8Array, void> {
  yield bytes;
}

function* fileBytes(fd: number, path: string, start: number, contentBytes: number): Generator<Uint8Array, void> {
  const buffer = new Uint8Array(Math.min(frameBounds.chunkBytes, contentBytes));
  for (let at = 0; at < contentBytes;) {
    const bytes = told(path, () => readSync(fd, buffer, 0, Math.min(buffer.length, contentBytes - at), start + at));
    if (bytes === 0) throw new AgentFault('transfer_failed', `${path}: it became shorter while it was read`);
    at += bytes;
    yield buffer.subarray(0, bytes);
  }
}
