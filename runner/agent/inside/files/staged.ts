import type { Stats } from 'node:fs';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { FileMetadata } from '../../../protocol/files.ts';
import { AgentFault, errnoOf, fileFault } from '../fault.ts';
import { mayAccess } from '../libc.ts';
import { find, told } from './info.ts';
import { setMetadata } from './metadata.ts';
import type { Steps } from './slices.ts';
import { openSource } from './source.ts';
import { stagedName } from './staged-name.ts';

const linksMax = 40;
const defaultMode = 0o644;
const copyBytes = 1024 * 1024;

export interface StagedOptions {
  makeParents: boolean;
  /** Absent: that of the file which is replaced, else defaultMode. */
  mode?: number | undefined;
  metadata?: FileMetadata | undefined;
  /** Also where a file of another owner is replaced. */
  ownedByWriter?: boolean | undefined;
}

/** A file that is written beside its target and takes its place in one step. To be used with the identity of its user. */
export class StagedFile {
  readonly target: string;
  readonly #temporary: string;
  readonly #fd: number;
  readonly #existing: Stats | undefined;
  readonly #options: StagedOptions;
  #length = 0;
  #open = true;

  /** Throws before anything is written when an open(O_TRUNC) of `path` would be refused. */
  static create(path: string, options: StagedOptions): StagedFile {
    if (options.makeParents) makeDirectory(path, dirname(path));
    const { target, existing } = resolveTarget(path);
    return new StagedFile(target, existing, options);
  }

  static changeMode(path: string, mode: number): void {
    told(path, () => chmodSync(path, mode));
  }

  private constructor(target: string, existing: Stats | undefined, options: StagedOptions) {
    this.target = target;
    this.#existing = existing;
    this.#options = options;
    this.#temporary = join(dirname(target), stagedName(existing === undefined ? 'new' : 'replacing'));
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    this.#fd = told(target, () => openSync(this.#temporary, flags, 0o600));
  }

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    this.writeAt(bytes, this.#length);
  }

  writeAt(bytes: Uint8Array, position: number): void {
    told(this.target, () => {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at, bytes.length - at, position + at);
    });
    this.#length = Math.max(this.#length, position + bytes.length);
  }

  /** All of another file. */
  *appendFile(source: string): Steps<void> {
    const { fd } = openSource(source);
    try {
      const buffer = new Uint8Array(copyBytes);
      for (;;) {
        yield;
        const bytes = told(source, () => readSync(fd, buffer));
        if (bytes === 0) break;
        this.append(buffer.subarray(0, bytes));
      }
    } finally {
      closeSync(fd);
    }
  }

  truncate(length: number): void {
    told(this.target, () => ftruncateSync(this.#fd, length));
    this.#length = length;
  }

  commit(): void {
    const existing = this.#existing;
    const { mode, metadata = {}, ownedByWriter } = this.#options;
    told(this.target, () => {
      if (existing !== undefined && ownedByWriter !== true) this.#keepOwner(existing);
      setMetadata(this.#fd, this.target, metadata);
      fchmodSync(this.#fd, mode ?? (existing === undefined ? defaultMode : existing.mode & 0o777));
      try {
        renameSync(this.#temporary, this.target);
      } catch (error) {
        // A file that is mounted (/etc/hosts) can be written but not replaced.
        if (errnoOf(error) !== 'EBUSY') throw error;
        copyFileSync(this.#temporary, this.target);
        unlinkSync(this.#temporary);
      }
    });
    this.#close();
  }

  discard(): void {
    if (!this.#open) return;
    this.#close();
    try {
      unlinkSync(this.#temporary);
    } catch {
      // The sandbox has removed it or its directory.
    }
  }

  /** Root that overwrites a user's file leaves it the user's, as a truncating open does. */
  #keepOwner(existing: Stats): void {
    try {
      fchownSync(this.#fd, existing.uid, existing.gid);
    } catch {
      // Not root's to give away: the writer owns what it writes.
    }
  }

  #close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** mkdir(2) says EEXIST where the path's last part but one is a file: for a write that is ENOTDIR. */
export function makeDirectory(path: string, directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o777 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw fileFault(error, path);
    throw new AgentFault('not_a_directory', `${path}: ${directory} is not a directory`);
  }
}

/** Follows symlinks to where a write would land, by the rules of the kernel (open(2), protected_symlinks in proc(5)). */
function resolveTarget(path: string): { target: string; existing: Stats | undefined } {
  let target = path;
  for (let links = 0; links <= linksMax; links += 1) {
    const at = target;
    const directory = told(path, () => realpathSync(dirname(at)));
    target = join(directory, basename(at));
    const found = find(target);
    if (found === undefined) return { target, existing: undefined };
    if (!found.isSymbolicLink()) return { target, existing: writable(target, found) };
    refusePlantedLink(target, found, directory);
    const link = told(target, () => readlinkSync(join(directory, basename(at))));
    target = isAbsolute(link) ? link : join(directory, link);
  }
  throw new AgentFault('invalid_argument', `${path}: too many symbolic links`);
}

function writable(target: string, found: Stats): Stats {
  if (!found.isFile()) {
    const what = found.isDirectory() ? 'a directory' : 'not a regular file';
    throw new AgentFault('not_a_file', `${target}: it is ${what}`, target);
  }
  if (!mayAccess(target, 'write')) {
    throw new AgentFault('file_permission_denied', `${target}: permission denied`, target);
  }
  return found;
}

/** In a sticky directory that everyone can write (/tmp), another user's link is not followed. */
function refusePlantedLink(link: string, found: Stats, directory: string): void {
  const stat = told(link, () => statSync(directory));
  const shared = (stat.mode & 0o1002) === 0o1002;
  const uid = process.geteuid?.() ?? 0;
  if (shared && found.uid !== uid && found.uid !== stat.uid) {
    throw new AgentFault('file_permission_denied', `${link}: another user's symbolic link in a shared directory`);
  }
}
