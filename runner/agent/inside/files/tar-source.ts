import { closeSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { AgentFault } from '../fault.ts';
import { find, told } from './info.ts';
import { openSource } from './source.ts';
import { blockBytes, encodeEntry, padded, type EntryToWrite } from './tar-format.ts';

const slash = Buffer.from('/');
const nothing = Buffer.alloc(0);

/** A tar of the directory's content, piece by piece. To be advanced with the identity of its reader. */
export function* tarOf(root: string, buffer: Uint8Array): Generator<Uint8Array, void> {
  yield* entriesOf(Buffer.from(`${root}/`), nothing, buffer);
  yield new Uint8Array(2 * blockBytes);
}

/** `root` and `prefix` end with a slash, or are nothing. Names stay bytes: as text, one that is not UTF-8 would name another file. */
function* entriesOf(root: Buffer, prefix: Buffer, buffer: Uint8Array): Generator<Uint8Array, void> {
  const directory = Buffer.concat([root, prefix]);
  const names = told(directory, () => readdirSync(directory, { encoding: 'buffer' }));
  for (const name of names.sort((one, other) => Buffer.compare(one, other))) {
    const path = Buffer.concat([directory, name]);
    const stat = find(path);
    // Removed since; sockets, FIFOs and devices are not carried.
    if (stat === undefined) continue;
    const base = { mode: stat.mode & 0o7777, modifiedAtSeconds: stat.mtimeMs / 1000, sizeBytes: 0, linkPath: nothing };
    const relative = Buffer.concat([prefix, name]);
    if (stat.isDirectory()) {
      const below = Buffer.concat([relative, slash]);
      yield encodeEntry({ ...base, type: 'directory', path: below });
      yield* entriesOf(root, below, buffer);
    } else if (stat.isSymbolicLink()) {
      const linkPath = told(path, () => readlinkSync(path, { encoding: 'buffer' }));
      yield encodeEntry({ ...base, type: 'symlink', path: relative, linkPath });
    } else if (stat.isFile()) {
      yield* fileOf(path, { ...base, path: relative }, buffer);
    }
  }
}

function* fileOf(
  path: Buffer,
  base: Omit<EntryToWrite, 'type' | 'sizeBytes'>,
  buffer: Uint8Array,
): Generator<Uint8Array, void> {
  const { fd, stat } = openSource(path);
  try {
    yield encodeEntry({ ...base, type: 'file', sizeBytes: stat.size });
    let left = stat.size;
    while (left > 0) {
      const bytes = told(path, () => readSync(fd, buffer, 0, Math.min(left, buffer.length), null));
      if (bytes === 0) throw new AgentFault('transfer_failed', `${String(path)}: it became shorter while it was read`);
      left -= bytes;
      yield buffer.subarray(0, bytes);
    }
    yield new Uint8Array(padded(stat.size) - stat.size);
  } finally {
    closeSync(fd);
  }
}
