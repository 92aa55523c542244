import { gathered, streamOf } from './byte-source.ts';
import { crc32 } from './crc32.ts';
import { CodecError, inflated } from './deflate.ts';
import type { Directory, DirectoryEntry, RandomAccess, ZipBounds } from './zip-directory.ts';
import { invalidZip, readDirectory } from './zip-directory.ts';

export const zipBounds = { filesMax: 200, contentBytesMax: 50 * 1024 * 1024, pathBytesMax: 1024 } as const;

export interface ZipEntry {
  /** Relative, of plain segments: no «..», no «.», no backslash, no slash at its end. */
  path: string;
  /** Uncompressed. A body that would be longer or shorter fails. */
  sizeBytes: number;
  compressedBytes: number;
  isDirectory: boolean;
  isSymlink: boolean;
  body(): ReadableStream<Uint8Array>;
}

/** What one read of the storage asks for. */
const readBytes = 1024 * 1024;
/** The fields after the name in a local header, which the directory does not tell the length of. */
const localExtraBytes = 1024;

/**
 * The entries of a zip, in its directory's order, none of them twice and none outside the archive's root. Bodies are
 * inflated as they are read and fail with invalid_argument where they are not what the directory says: its sizes, whose
 * sum is bounded, are therefore the most that can come out.
 */
export async function openZip(source: RandomAccess, bounds: ZipBounds): Promise<{ entries: ZipEntry[] }> {
  const directory = await readDirectory(source, bounds);
  return {
    entries: directory.entries.map((entry) => ({
      path: entry.path,
      sizeBytes: entry.sizeBytes,
      compressedBytes: entry.compressedBytes,
      isDirectory: entry.isDirectory,
      isSymlink: entry.isSymlink,
      body: () => streamOf(gathered(contentOf(source, directory, entry))),
    })),
  };
}

async function* contentOf(
  source: RandomAccess,
  directory: Directory,
  entry: DirectoryEntry,
): AsyncGenerator<Uint8Array, void> {
  const damaged = (cause?: unknown): Error => invalidZip(`has a damaged entry «${entry.path.slice(0, 200)}»`, cause);
  const compressed = compressedOf(source, directory, entry, damaged);
  let bytes = 0;
  let crc = 0;
  try {
    for await (const chunk of entry.method === 'stored' ? compressed : inflated(compressed)) {
      bytes += chunk.length;
      if (bytes > entry.sizeBytes) throw damaged();
      crc = crc32(chunk, crc);
      yield chunk;
    }
  } catch (error) {
    throw error instanceof CodecError ? damaged(error) : error;
  }
  if (bytes !== entry.sizeBytes || crc !== entry.crc) throw damaged();
}

async function* compressedOf(
  source: RandomAccess,
  directory: Directory,
  entry: DirectoryEntry,
  damaged: () => Error,
): AsyncGenerator<Uint8Array, void> {
  const headBytes = 30 + entry.name.length;
  const ahead = headBytes + localExtraBytes + entry.compressedBytes;
  const first = await source.read(entry.offset, Math.min(ahead, readBytes, directory.offset - entry.offset));
  if (first.length < headBytes) throw damaged();
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const method = view.getUint16(8, true) === 0 ? 'stored' : 'deflated';
  const name = first.subarray(30, headBytes);
  // An archive that is one thing to its directory and another to its bytes is somebody's trick.
  if (
    view.getUint32(0, true) !== 0x04034b50 ||
    method !== entry.method ||
    view.getUint16(26, true) !== entry.name.length ||
    name.some((byte, at) => byte !== entry.name[at])
  ) {
    throw damaged();
  }
  const start = headBytes + view.getUint16(28, true);
  const end = entry.offset + start + entry.compressedBytes;
  if (end > directory.offset) throw damaged();
  const held = first.subarray(start, start + entry.compressedBytes);
  if (held.length > 0) yield held;
  let at = entry.offset + Math.max(first.length, start);
  while (at < end) {
    const chunk = await source.read(at, Math.min(readBytes, end - at));
    if (chunk.length === 0) throw damaged();
    at += chunk.length;
    yield chunk;
  }
}
