import { ServiceError } from '../errors.ts';
import { entryPath } from './entry-path.ts';

export const invalidZip = (message: string, cause?: unknown): ServiceError =>
  new ServiceError('invalid_argument', `The zip ${message}.`, { cause });
export const tooLargeZip = (message: string): ServiceError =>
  new ServiceError('payload_too_large', `The zip ${message}.`);

/** Bytes that can be read anywhere: exactly `length` of them from `offset`, which lie within `sizeBytes`. */
export interface RandomAccess {
  sizeBytes: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface ZipBounds {
  filesMax: number;
  /** Of all files together, uncompressed. */
  contentBytesMax: number;
  pathBytesMax: number;
}

/** What the central directory says of an entry, checked. */
export interface DirectoryEntry {
  path: string;
  /** As it stands in the archive. */
  name: Uint8Array;
  method: 'stored' | 'deflated';
  crc: number;
  compressedBytes: number;
  sizeBytes: number;
  /** Of its local header. */
  offset: number;
  isDirectory: boolean;
  isSymlink: boolean;
}

/** An archive's end may be followed by a comment of 65,535 bytes. */
const endBytes = 22;
const commentBytesMax = 0xffff;
const locatorBytes = 20;
const end64Bytes = 56;
/** Directories are entries, too. */
const entriesPerFileMax = 5;
const directoryBytesMax = 4 * 1024 * 1024;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export interface Directory {
  entries: DirectoryEntry[];
  /** Where entries' bytes must end. */
  offset: number;
}

/** The central directory, whole and checked against the bounds. Throws invalid_argument and payload_too_large. */
export async function readDirectory(source: RandomAccess, bounds: ZipBounds): Promise<Directory> {
  const { entries, bytes, offset } = await findDirectory(source);
  if (entries > bounds.filesMax * entriesPerFileMax)
    throw tooLargeZip(`has more than ${bounds.filesMax * entriesPerFileMax} entries`);
  if (bytes > directoryBytesMax) throw tooLargeZip(`has a directory of more than ${directoryBytesMax} bytes`);
  const directory = await source.read(offset, bytes);
  const read: DirectoryEntry[] = [];
  const taken = new Map<string, DirectoryEntry>();
  let contentBytes = 0;
  let at = 0;
  for (let index = 0; index < entries; index += 1) {
    const { entry, length } = readEntry(directory, at, bounds.pathBytesMax);
    at += length;
    if (entry.path === '' && entry.isDirectory) continue;
    if (entry.path === '') throw invalidZip('has an entry without a name');
    if (taken.has(entry.path)) throw invalidZip(`has the path «${entry.path.slice(0, 200)}» twice`);
    taken.set(entry.path, entry);
    read.push(entry);
    contentBytes += entry.sizeBytes;
    if (contentBytes > bounds.contentBytesMax) {
      throw tooLargeZip(`has more than ${bounds.contentBytesMax} bytes of content`);
    }
    if (entry.offset + entry.compressedBytes > offset) throw invalidZip('has an entry that lies outside of it');
  }
  if (at !== bytes) throw invalidZip('has a damaged directory');
  if (read.filter((entry) => !entry.isDirectory).length > bounds.filesMax) {
    throw tooLargeZip(`has more than ${bounds.filesMax} files`);
  }
  for (const { path } of read) refuseFileAsParent(path, taken);
  return { entries: read, offset };
}

function refuseFileAsParent(path: string, taken: Map<string, DirectoryEntry>): void {
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    if (taken.get(path.slice(0, slash))?.isDirectory === false) {
      throw invalidZip(`has «${path.slice(0, slash).slice(0, 200)}» both as a file and as a directory`);
    }
  }
}

async function findDirectory(source: RandomAccess): Promise<{ entries: number; bytes: number; offset: number }> {
  const tailBytes = Math.min(source.sizeBytes, endBytes + commentBytesMax + locatorBytes);
  const tailOffset = source.sizeBytes - tailBytes;
  const tail = await source.read(tailOffset, tailBytes);
  const view = viewOf(tail);
  let end = tail.length - endBytes;
  // The comment must reach the very end, or bytes of it could pass for the archive's end.
  while (
    end >= 0 &&
    !(view.getUint32(end, true) === 0x06054b50 && view.getUint16(end + 20, true) === tail.length - end - endBytes)
  ) {
    end -= 1;
  }
  if (end < 0) throw invalidZip('has no end: it is cut, or no zip');
  if (view.getUint16(end + 4, true) !== view.getUint16(end + 6, true)) throw invalidZip('is one of several volumes');
  const found = {
    entries: view.getUint16(end + 10, true),
    bytes: view.getUint32(end + 12, true),
    offset: view.getUint32(end + 16, true),
  };
  const locator = end - locatorBytes;
  const is64 = locator >= 0 && view.getUint32(locator, true) === 0x07064b50;
  const place = is64
    ? await findDirectory64(source, number64(view, locator + 8), tailOffset + locator)
    : { ...found, end: tailOffset + end };
  if (place.offset + place.bytes > place.end) throw invalidZip('has a directory that lies outside of it');
  return place;
}

async function findDirectory64(
  source: RandomAccess,
  offset: number,
  endMax: number,
): Promise<{ entries: number; bytes: number; offset: number; end: number }> {
  if (offset + end64Bytes > endMax) throw invalidZip('has a damaged end (zip64)');
  const view = viewOf(await source.read(offset, end64Bytes));
  if (view.getUint32(0, true) !== 0x06064b50) throw invalidZip('has a damaged end (zip64)');
  return { entries: number64(view, 32), bytes: number64(view, 40), offset: number64(view, 48), end: offset };
}

function number64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalidZip('has a number that is too large');
  return Number(value);
}

const headBytes = 46;

function readEntry(directory: Uint8Array, at: number, pathBytesMax: number): { entry: DirectoryEntry; length: number } {
  const damaged = (): ServiceError => invalidZip('has a damaged directory');
  if (at + headBytes > directory.length) throw damaged();
  const view = viewOf(directory.subarray(at));
  if (view.getUint32(0, true) !== 0x02014b50) throw damaged();
  const nameBytes = view.getUint16(28, true);
  const extraBytes = view.getUint16(30, true);
  const length = headBytes + nameBytes + extraBytes + view.getUint16(32, true);
  if (at + length > directory.length) throw damaged();
  const name = directory.subarray(at + headBytes, at + headBytes + nameBytes);
  const extra = directory.subarray(at + headBytes + nameBytes, at + headBytes + nameBytes + extraBytes);
  const path = zipPath(name, pathBytesMax);
  const shown = path.slice(0, 200);
  // Bits 0, 6 and 13: encrypted, strongly encrypted, a directory that hides what it says.
  if ((view.getUint16(8, true) & 0x2041) !== 0) throw invalidZip(`has an encrypted entry «${shown}»`);
  const sizes = sizesOf(view, extra);
  const method = view.getUint16(10, true);
  const type = unixType(view);
  const isDirectory = name.at(-1) === 47 || type === 0o040000;
  if (method !== 0 && method !== 8) throw invalidZip(`has an entry «${shown}» compressed in a way other than deflate`);
  if (isDirectory && sizes.sizeBytes > 0) throw invalidZip(`has a directory «${shown}» with content`);
  if (method === 0 && sizes.sizeBytes !== sizes.compressedBytes) throw damaged();
  return {
    entry: {
      path,
      name,
      method: method === 0 ? 'stored' : 'deflated',
      crc: view.getUint32(16, true),
      ...sizes,
      isDirectory,
      isSymlink: type === 0o120000,
    },
    length,
  };
}

/** 0: the archive does not say. 3 and 19 are Unix and macOS as makers. */
function unixType(view: DataView): number {
  const maker = view.getUint8(5);
  return maker === 3 || maker === 19 ? (view.getUint32(38, true) >>> 16) & 0o170000 : 0;
}

function zipPath(name: Uint8Array, pathBytesMax: number): string {
  const path = entryPath(name, pathBytesMax);
  // Programs on Windows take it for a separator, and so may what unpacks an artifact later.
  if (path.includes('\\')) throw invalidZip(`has an entry «${path.slice(0, 200)}» with a backslash in its path`);
  return path;
}

function sizesOf(view: DataView, extra: Uint8Array): { compressedBytes: number; sizeBytes: number; offset: number } {
  const sizes = {
    sizeBytes: view.getUint32(24, true),
    compressedBytes: view.getUint32(20, true),
    offset: view.getUint32(42, true),
  };
  const field = extraField(extra, 0x0001);
  let at = 0;
  // zip64 has 8 bytes for each that does not fit into its 4, in this order.
  for (const key of ['sizeBytes', 'compressedBytes', 'offset'] as const) {
    if (sizes[key] !== 0xffff_ffff || field === undefined) continue;
    if (at + 8 > field.length) throw invalidZip('has a damaged entry (zip64)');
    sizes[key] = number64(viewOf(field), at);
    at += 8;
  }
  return sizes;
}

function extraField(extra: Uint8Array, tag: number): Uint8Array | undefined {
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length;) {
    const bytes = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === tag) return extra.subarray(at + 4, at + 4 + bytes);
    at += 4 + bytes;
  }
  return undefined;
}
