import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  futimesSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { AgentFault } from '../fault.ts';
import { find, findFollowing, told } from './info.ts';
import type { TarEntry } from './tar-format.ts';

const depthMax = 128;

const outside = (path: string): AgentFault =>
  new AgentFault('invalid_argument', `The archive's entry «${path.slice(0, 200)}» would lie outside the target.`);

/** Where an archive's entries go. None leaves the root: names have no «..», and no entry is written through a symlink. */
export class TarTarget {
  readonly #root: string;
  /** Seen to be real directories. Nothing of the archive can replace them. */
  readonly #directories = new Set<string>();
  /** Set at the end, since a read-only directory would refuse its own entries. */
  readonly #modes = new Map<string, number>();
  #file: { fd: number; path: string; entry: TarEntry } | undefined;

  constructor(root: string) {
    this.#root = root;
    const found = findFollowing(root);
    if (found === undefined) told(root, () => mkdirSync(root, { recursive: true }));
    else if (!found.isDirectory()) throw new AgentFault('not_a_directory', `${root}: it is not a directory`);
    this.#directories.add(root);
  }

  openFile(entry: TarEntry): void {
    const path = this.#vacate(entry.path);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = told(path, () => openSync(path, flags, 0o600));
    this.#file = { fd, path, entry };
  }

  append(bytes: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) return;
    told(file.path, () => {
      for (let at = 0; at < bytes.length;) at += writeSync(file.fd, bytes, at);
    });
  }

  closeFile(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    try {
      told(file.path, () => {
        fchmodSync(file.fd, file.entry.mode);
        const { modifiedAtSeconds } = file.entry;
        if (Number.isFinite(modifiedAtSeconds)) futimesSync(file.fd, modifiedAtSeconds, modifiedAtSeconds);
      });
    } finally {
      closeSync(file.fd);
    }
  }

  make(entry: TarEntry): void {
    switch (entry.type) {
      case 'directory': {
        const path = this.#directory(this.#parts(entry.path));
        if (path !== this.#root) this.#modes.set(path, entry.mode);
        return;
      }
      case 'symlink':
        return this.#symlink(entry);
      case 'hardlink': {
        const parts = this.#parts(entry.linkPath);
        const source = join(this.#directory(parts.slice(0, -1)), parts.at(-1) ?? '');
        if (find(source)?.isFile() !== true) throw outside(entry.path);
        const path = this.#vacate(entry.path);
        return told(path, () => linkSync(source, path));
      }
      case 'file':
        return;
      default:
        return entry.type satisfies never;
    }
  }

  finish(): void {
    for (const [path, mode] of [...this.#modes].reverse()) told(path, () => chmodSync(path, mode));
  }

  /** An unfinished file is removed; what came whole before it stays. */
  discard(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    closeSync(file.fd);
    try {
      unlinkSync(file.path);
    } catch {
      // The sandbox has removed it.
    }
  }

  #symlink(entry: TarEntry): void {
    const within = normalize(join(dirname(this.#parts(entry.path).join('/')), entry.linkPath));
    if (entry.linkPath === '' || isAbsolute(entry.linkPath) || within === '..' || within.startsWith('../')) {
      throw outside(entry.path);
    }
    const path = this.#vacate(entry.path);
    told(path, () => symlinkSync(entry.linkPath, path));
  }

  #parts(path: string): string[] {
    if (isAbsolute(path)) throw outside(path);
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.includes('..') || parts.length > depthMax) throw outside(path);
    return parts;
  }

  /** The directory of these parts, made where it is missing. */
  #directory(parts: string[]): string {
    let path = this.#root;
    for (const part of parts) {
      path = join(path, part);
      if (this.#directories.has(path)) continue;
      const at = path;
      const found = find(at);
      if (found === undefined) told(at, () => mkdirSync(at, 0o755));
      else if (found.isSymbolicLink()) throw outside(at);
      else if (!found.isDirectory()) throw new AgentFault('not_a_directory', `${at}: it is not a directory`);
      this.#directories.add(at);
    }
    return path;
  }

  /** The entry's path, free to be made: what is there is removed, as tar does, unless it is a directory. */
  #vacate(name: string): string {
    const parts = this.#parts(name);
    if (parts.length === 0) throw outside(name);
    const path = join(this.#directory(parts.slice(0, -1)), parts.at(-1) ?? '');
    const found = find(path);
    if (found?.isDirectory() === true) throw new AgentFault('not_a_file', `${path}: it is a directory`);
    if (found !== undefined) told(path, () => unlinkSync(path));
    return path;
  }
}
