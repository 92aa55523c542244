import type { FileMetadata } from '../../../protocol/files.ts';
import { limits } from '../../../protocol/limits.ts';
import { AgentFault } from '../fault.ts';
import { attribute, attributeNames, setAttribute } from '../libc.ts';

/** `user.` is what the kernel asks of attributes that anyone may set (xattr(7)); the rest is E2B's name for them. */
const prefix = 'user.e2b.';
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Of what is at the path, through symlinks. What a program in the sandbox has set and no text can tell, or past the bounds, is left out. */
export function metadataOf(path: string): FileMetadata | undefined {
  const found: [string, string][] = [];
  let bytes = 0;
  for (const nameBytes of attributeNames(path)) {
    if (!nameBytes.subarray(0, prefix.length).equals(Buffer.from(prefix))) continue;
    const name = text(nameBytes);
    const valueBytes = name === undefined ? undefined : attribute(path, name);
    const value = valueBytes && text(valueBytes);
    if (name === undefined || value === undefined || name === prefix) continue;
    bytes += nameBytes.length + (valueBytes?.length ?? 0);
    if (bytes > limits.metadataBytes) break;
    found.push([name.slice(prefix.length), value]);
  }
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** On a file that has none yet. A file system without such attributes (/proc) keeps none: the entry that is answered shows it. */
export function setMetadata(fd: number, path: string, metadata: FileMetadata): void {
  for (const [key, value] of Object.entries(metadata)) {
    if (setAttribute(fd, `${prefix}${key}`, value) === 'no_space') {
      throw new AgentFault('no_space', `${path}: no space is left for the file's metadata`, path);
    }
  }
}

function text(bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
