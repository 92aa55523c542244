import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FileWatch, WatchEvent } from '../../../protocol/files.ts';
import { limits } from '../../../protocol/limits.ts';
import { AgentFault } from '../fault.ts';
import type { Identity } from '../identity.ts';
import { asIdentity, callerOf } from '../identity.ts';
import { absolutePath, fileInfo, findFollowing } from './info.ts';
import type { Inotify, InotifyEvent } from './inotify.ts';
import { inotifyMask } from './inotify.ts';
import type { Staging } from './staged-name.ts';
import { stagingOf } from './staged-name.ts';

/** Renames of which one half was seen. */
const commitsMax = 64;

/** What changes in one directory, or in all below it, as whoever asked may see it. */
export class DirectoryWatch {
  /** Path → descriptor and listener of each directory watched. */
  readonly #directories = new Map<string, { descriptor: number; listener: (event: InotifyEvent) => void }>();
  /** By their cookie: our own writes on their way to their target. */
  readonly #commits = new Map<number, Staging>();
  /** Absolute. */
  readonly root: string;
  readonly #recursive: boolean;
  readonly #includeEntries: boolean;
  readonly #user: Identity;
  readonly #inotify: Inotify;
  readonly #tell: (event: WatchEvent) => void;

  constructor(request: FileWatch, inotify: Inotify, tell: (event: WatchEvent) => void) {
    this.#user = callerOf(request);
    this.root = absolutePath(request.path, this.#user.home);
    this.#recursive = request.recursive;
    this.#includeEntries = request.includeEntries === true;
    this.#inotify = inotify;
    this.#tell = tell;
  }

  begin(): void {
    try {
      asIdentity(this.#user, () => this.#watchRoot());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The kernel dropped events: directories may have come that we don't watch yet. */
  overflowed(): void {
    if (this.#recursive) asIdentity(this.#user, () => this.#descend(this.root, false));
  }

  close(): void {
    for (const path of this.#directories.keys()) this.#forget(path);
    this.#inotify.closeIfUnused();
  }

  #watchRoot(): void {
    const root = this.root;
    const stat = findFollowing(root);
    if (stat === undefined) throw new AgentFault('file_not_found', `${root}: no such file or directory`, root);
    if (!stat.isDirectory()) throw new AgentFault('not_a_directory', `${root}: it is not a directory`, root);
    if (!this.#add(root)) {
      throw new AgentFault('file_permission_denied', `${root}: it cannot be watched by this user`, root);
    }
    if (this.#recursive) this.#descend(root, false);
  }

  #add(directory: string): boolean {
    if (this.#directories.has(directory)) return true;
    const listener = (event: InotifyEvent): void => this.#event(directory, event);
    const descriptor = this.#inotify.add(directory, listener);
    if (descriptor === undefined) return false;
    this.#directories.set(directory, { descriptor, listener });
    return true;
  }

  /** Watches what is below; `report` tells of it too: it was made before its directory was watched. */
  #descend(directory: string, report: boolean): void {
    let entries;
    try {
      entries = readdirSync(directory, { withFileTypes: true });
    } catch {
      return;
    }
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (report) this.#reportFound(path, entry.isFile());
      // One that the user may not read is not watched, as it could not be listed.
      if (entry.isDirectory() && this.#add(path)) this.#descend(path, report);
    }
  }

  /** A file may have been written, too, before anyone looked: whoever waits for its content must not wait for ever. */
  #reportFound(path: string, isFile: boolean): void {
    if (stagingOf(path.slice(path.lastIndexOf('/') + 1)) !== undefined) return;
    this.#say('create', path);
    if (isFile) this.#say('write', path);
  }

  #event(directory: string, event: InotifyEvent): void {
    if ((event.mask & inotifyMask.ignored) !== 0) {
      this.#directories.delete(directory);
      return;
    }
    // Of the directory itself: its parent's watch tells the same, and the root's own is of no interest.
    if (event.name === '') return;
    const staging = stagingOf(event.name);
    if (staging !== undefined) return this.#noteCommit(event, staging);
    const path = join(directory, event.name);
    const isDirectory = (event.mask & inotifyMask.isDirectory) !== 0;
    if ((event.mask & inotifyMask.movedFrom) !== 0 && isDirectory) this.#forgetBelow(path);
    const kinds = this.#kindsOf(event);
    const enters = isDirectory && this.#recursive && kinds.includes('create');
    const handle = (): void => {
      for (const kind of kinds) this.#say(kind, path);
      if (enters && this.#add(path)) this.#descend(path, true);
    };
    if (enters || this.#includeEntries) asIdentity(this.#user, handle);
    else handle();
  }

  /** A write through us is staged and renamed: it is told as what it does to its target, and the staged file not at all. */
  #noteCommit({ mask, cookie }: InotifyEvent, staging: Staging): void {
    if ((mask & inotifyMask.movedFrom) === 0) return;
    for (const oldest of this.#commits.keys()) {
      if (this.#commits.size < commitsMax) break;
      this.#commits.delete(oldest);
    }
    this.#commits.set(cookie, staging);
  }

  #kindsOf({ mask, cookie }: InotifyEvent): WatchEvent['kind'][] {
    if ((mask & inotifyMask.movedTo) !== 0) {
      const staging = this.#commits.get(cookie);
      this.#commits.delete(cookie);
      if (staging !== undefined) return staging === 'new' ? ['create', 'chmod', 'write'] : ['chmod', 'write'];
    }
    const kind = kindOf(mask);
    return kind === undefined ? [] : [kind];
  }

  /** With the identity of the user where entries are wanted. */
  #say(kind: WatchEvent['kind'], path: string): void {
    // No call could name it.
    if (Buffer.byteLength(path) > limits.pathBytes) return;
    const entry = this.#includeEntries && kind !== 'remove' && kind !== 'rename' ? entryAt(path) : undefined;
    this.#tell(entry === undefined ? { kind, path } : { kind, path, entry });
  }

  #forgetBelow(path: string): void {
    for (const directory of this.#directories.keys()) {
      if (directory === path || directory.startsWith(`${path}/`)) this.#forget(directory);
    }
  }

  #forget(directory: string): void {
    const entry = this.#directories.get(directory);
    if (entry === undefined) return;
    this.#directories.delete(directory);
    this.#inotify.remove(entry.descriptor, entry.listener);
  }
}

function entryAt(path: string): WatchEvent['entry'] {
  try {
    return fileInfo(path, { resolveLinks: true });
  } catch {
    // It is gone already.
    return undefined;
  }
}

function kindOf(mask: number): WatchEvent['kind'] | undefined {
  if ((mask & (inotifyMask.create | inotifyMask.movedTo)) !== 0) return 'create';
  if ((mask & inotifyMask.modify) !== 0) return 'write';
  if ((mask & inotifyMask.remove) !== 0) return 'remove';
  if ((mask & inotifyMask.movedFrom) !== 0) return 'rename';
  return (mask & inotifyMask.attributes) !== 0 ? 'chmod' : undefined;
}
