import { closeSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { AgentFault } from '../fault.ts';
import { find, told } from './info.ts';
import { openSource } from './source.ts';
import { blockBytes, encodeEntry, padded } from './tar-format.ts';

/** A tar of the directory's content, piece by piece. To be advanced with the identity of its reader. */
export function* tarOf(root: string, buffer: Uint8Array): Generator<Uint8Array, void> {
  yield* entriesOf(root, '', buffer);
  yield new Uint8Array(2 * blockBytes);
}

function* entriesOf(root: string, prefix: string, buffer: Uint8Array): Generator<Uint8Array, void> {
  const directory = join(root, prefix);
  for (const name of told(directory, () => readdirSync(directory)).sort()) {
    const path = join(directory, name);
    const stat = find(path);
    // Removed since; sockets, FIFOs and devices are not carried.
    if (stat === undefined) continue;
    const base = { mode: stat.mode & 0o7777, modifiedAtSeconds: stat.mtimeMs / 1000, sizeBytes: 0, linkPath: '' };
    const relative = `${prefix}${name}`;
    if (stat.isDirectory()) {
      yield encodeEntry({ ...base, type: 'directory', path: `${relative}/` });
      yield* entriesOf(root, `${relative}/`, buffer);
    } else if (stat.isSymbolicLink()) {
      const linkPath = told(path, () => readlinkSync(path));
      yield encodeEntry({ ...base, type: 'symlink', path: relative, linkPath });
    } else if (stat.isFile()) {
      yield* fileOf(path, { ...base, path: relative }, buffer);
    }
  }
}

function* fileOf(
  path: string,
  base: { path: string; mode: number; modifiedAtSeconds: number; linkPath: string },
  buffer: Uint8Array,
): Generator<Uint8Array, void> {
  const { fd, stat } = openSource(path);
  try {
    yield encodeEntry({ ...base, type: 'file', sizeBytes: stat.size });
    let left = stat.size;
    while (left > 0) {
      const bytes = told(path, () => readSync(fd, buffer, 0, Math.min(left, buffer.length), null));
      if (bytes === 0) throw new AgentFault('transfer_failed', `${path}: it became shorter while it was read`);
      left -= bytes;
      yield buffer.subarray(0, bytes);
    }
    yield new Uint8Array(padded(stat.size) - stat.size);
  } finally {
    closeSync(fd);
  }
}
