import {
  closeSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { FileInput, FileOutput } from '../../../protocol/files.ts';
import { limits } from '../../../protocol/limits.ts';
import { AgentFault, errnoOf } from '../fault.ts';
import type { Identity } from '../identity.ts';
import { absolutePath, describe, fileInfo, find, findFollowing, told } from './info.ts';
import { metadataOf } from './metadata.ts';
import type { Steps } from './slices.ts';
import { openSource } from './source.ts';
import { makeDirectory, StagedFile } from './staged.ts';

/** A list's reply must fit a frame. */
const listTextBytesMax = 6 * 1024 * 1024;

export function* list(input: FileInput<'list'>, user: Identity): Steps<FileOutput<'list'>> {
  const root = absolutePath(input.path, user.home);
  const stat = findFollowing(root);
  if (stat === undefined) throw new AgentFault('file_not_found', `${root}: no such file or directory`, root);
  if (!stat.isDirectory()) throw new AgentFault('not_a_directory', `${root}: it is not a directory`, root);
  const entries: FileOutput<'list'>['entries'] = [];
  let textBytes = 0;
  const open = [{ directory: root, depth: 1 }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { directory, depth } = at;
    const names = directory === root ? told(root, () => readdirSync(root)) : readable(directory);
    for (const name of names.sort()) {
      yield;
      const path = join(directory, name);
      const found = find(path);
      // Removed since, or a name that is not UTF-8 and that no path can tell.
      if (found === undefined) continue;
      const entry = describe(path, found, input);
      textBytes += Buffer.byteLength(JSON.stringify(entry));
      if (entries.length === limits.listEntries || textBytes > listTextBytesMax) return sorted(entries, true);
      entries.push(entry);
      if (found.isDirectory() && depth < input.depth) open.push({ directory: path, depth: depth + 1 });
    }
  }
  return sorted(entries, false);
}

const sorted = (entries: FileOutput<'list'>['entries'], truncated: boolean): FileOutput<'list'> => ({
  entries: entries.sort((a, b) => (a.path < b.path ? -1 : 1)),
  truncated,
});

/** A subdirectory that the user may not read is listed itself, without what is in it. */
function readable(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export function mkdir(input: FileInput<'mkdir'>, user: Identity): FileOutput<'mkdir'> {
  const path = absolutePath(input.path, user.home);
  const existing = findFollowing(path);
  if (existing !== undefined) {
    if (!existing.isDirectory()) throw new AgentFault('file_exists', `${path}: a file of this name exists`, path);
    return { created: false, entry: fileInfo(path, { ...input, followSymlinks: true }) };
  }
  told(path, () => mkdirSync(path, { recursive: true, mode: 0o777 }));
  if (input.mode !== undefined) StagedFile.changeMode(path, input.mode);
  return { created: true, entry: fileInfo(path, input) };
}

export function* remove(input: FileInput<'remove'>, user: Identity): Steps<FileOutput<'remove'>> {
  const path = absolutePath(input.path, user.home);
  const found = find(path);
  if (found === undefined) return { removed: false };
  if (path === '/') throw new AgentFault('invalid_argument', 'The root directory cannot be removed.');
  if (!found.isDirectory()) told(path, () => unlinkSync(path));
  else if (input.recursive) yield* removeTree(path);
  else told(path, () => rmdirSync(path));
  return { removed: true };
}

export function* removeTree(path: string): Steps<void> {
  for (const entry of told(path, () => readdirSync(path, { withFileTypes: true }))) {
    yield;
    const child = join(path, entry.name);
    if (entry.isDirectory()) yield* removeTree(child);
    else told(child, () => unlinkSync(child));
  }
  told(path, () => rmdirSync(path));
}

export function* move(input: FileInput<'move'>, user: Identity): Steps<FileOutput<'move'>> {
  const source = absolutePath(input.source, user.home);
  const destination = absolutePath(input.destination, user.home);
  const from = find(source);
  if (from === undefined) throw new AgentFault('file_not_found', `${source}: no such file or directory`, source);
  if (source === destination && input.overwrite) return { entry: fileInfo(destination, input) };
  refuseInside(source, destination);
  if (!input.overwrite && find(destination) !== undefined) {
    throw new AgentFault('file_exists', `${destination}: it exists already`);
  }
  if (input.parents === true) makeDirectory(destination, dirname(destination));
  try {
    renameSync(source, destination);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') told(destination, () => raise(error));
    yield* copyTree(source, destination);
    if (from.isDirectory()) yield* removeTree(source);
    else told(source, () => unlinkSync(source));
  }
  return { entry: fileInfo(destination, input) };
}

export function* copy(input: FileInput<'copy'>, user: Identity): Steps<FileOutput<'copy'>> {
  const source = absolutePath(input.source, user.home);
  const destination = absolutePath(input.destination, user.home);
  const from = input.recursive ? find(source) : findFollowing(source);
  if (from === undefined) throw new AgentFault('file_not_found', `${source}: no such file or directory`);
  if (from.isDirectory() && !input.recursive) {
    throw new AgentFault('not_a_file', `${source}: it is a directory; copy it with recursive`);
  }
  refuseInside(source, destination);
  if (!input.overwrite && find(destination) !== undefined) {
    throw new AgentFault('file_exists', `${destination}: it exists already`);
  }
  if (input.recursive) yield* copyTree(source, destination);
  else yield* copyFile(source, destination);
  return { entry: fileInfo(destination) };
}

function* copyTree(source: string, destination: string): Steps<void> {
  const from = find(source);
  if (from === undefined) return;
  if (from.isSymbolicLink()) {
    const target = told(source, () => readlinkSync(source));
    if (find(destination)?.isDirectory() === false) told(destination, () => unlinkSync(destination));
    return told(destination, () => symlinkSync(target, destination));
  }
  if (!from.isDirectory()) return yield* copyFile(source, destination);
  if (findFollowing(destination)?.isDirectory() !== true) told(destination, () => mkdirSync(destination, 0o700));
  for (const name of told(source, () => readdirSync(source))) {
    yield;
    yield* copyTree(join(source, name), join(destination, name));
  }
  StagedFile.changeMode(destination, from.mode & 0o777);
}

function* copyFile(source: string, destination: string): Steps<void> {
  const { fd, stat } = openSource(source);
  closeSync(fd);
  const options = { makeParents: false, mode: stat.mode & 0o777, metadata: metadataOf(source) };
  const staged = StagedFile.create(destination, options);
  try {
    yield* staged.appendFile(source);
    staged.commit();
  } catch (error) {
    staged.discard();
    throw error;
  }
}

function refuseInside(source: string, destination: string): void {
  if (destination === source || destination.startsWith(`${source}/`)) {
    throw new AgentFault('invalid_argument', `${destination}: it lies inside ${source}`);
  }
}

function raise(error: unknown): never {
  throw error;
}
