import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { frameBounds } from '../../../protocol/agent.ts';
import type { FileWatch, WatchEvent } from '../../../protocol/files.ts';
import { limits } from '../../../protocol/limits.ts';
import { AgentFault } from '../fault.ts';
import type { Identity } from '../identity.ts';
import { asIdentity, identityOf } from '../identity.ts';
import type { Outlet } from '../reader.ts';
import { absolutePath, findFollowing } from './info.ts';
import type { InotifyEvent } from './inotify.ts';
import { Inotify, inotifyMask } from './inotify.ts';

/** Events are gathered this long: many of them repeat. */
const gatherMs = 20;

/** The sandbox's directory watches. They belong to a control connection: a host that comes back asks again. */
export class Watches {
  readonly #watches = new Map<number, Watch>();
  readonly #inotify = new Inotify(() => {
    for (const watch of this.#watches.values()) watch.overflowed();
  });

  open(watchId: number, request: FileWatch, outlet: Outlet): void {
    if (this.#watches.size >= limits.watchesPerSandbox) {
      throw new AgentFault('too_many_watches', `The sandbox has ${limits.watchesPerSandbox} watches already.`);
    }
    const user = identityOf(request.user);
    const root = absolutePath(request.path, user.home);
    const watch = new Watch(watchId, root, request.recursive, user, this.#inotify, outlet);
    try {
      watch.begin();
    } catch (error) {
      watch.close();
      throw error;
    }
    this.#watches.set(watchId, watch);
  }

  close(watchId: number): void {
    this.#watches.get(watchId)?.close();
    this.#watches.delete(watchId);
  }

  closeAll(): void {
    for (const watchId of this.#watches.keys()) this.close(watchId);
  }
}

class Watch {
  #pending: WatchEvent[] = [];
  #dropped = 0;
  #timer: Timer | undefined;
  /** Path → descriptor and listener of each directory watched. */
  readonly #directories = new Map<string, { descriptor: number; listener: (event: InotifyEvent) => void }>();
  readonly #id: number;
  readonly #root: string;
  readonly #recursive: boolean;
  readonly #user: Identity;
  readonly #inotify: Inotify;
  readonly #outlet: Outlet;

  constructor(id: number, root: string, recursive: boolean, user: Identity, inotify: Inotify, outlet: Outlet) {
    this.#id = id;
    this.#root = root;
    this.#recursive = recursive;
    this.#user = user;
    this.#inotify = inotify;
    this.#outlet = outlet;
  }

  begin(): void {
    asIdentity(this.#user, () => {
      const stat = findFollowing(this.#root);
      if (stat === undefined) throw new AgentFault('file_not_found', `${this.#root}: no such file or directory`);
      if (!stat.isDirectory()) throw new AgentFault('not_a_directory', `${this.#root}: it is not a directory`);
      if (!this.#add(this.#root)) {
        throw new AgentFault('file_permission_denied', `${this.#root}: it cannot be watched by this user`);
      }
      if (this.#recursive) this.#descend(this.#root, false);
    });
  }

  /** The kernel dropped events: directories may have come that we don't watch yet. */
  overflowed(): void {
    this.#dropped += 1;
    if (this.#recursive) asIdentity(this.#user, () => this.#descend(this.#root, false));
    this.#arm();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const path of this.#directories.keys()) this.#forget(path);
    this.#inotify.closeIfUnused();
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
      if (report) this.#push({ kind: 'create', path });
      // One that the user may not read is not watched, as it could not be listed.
      if (entry.isDirectory() && this.#add(path)) this.#descend(path, report);
    }
  }

  #event(directory: string, { mask, name }: InotifyEvent): void {
    if ((mask & inotifyMask.ignored) !== 0) {
      this.#directories.delete(directory);
      return;
    }
    // Of the directory itself: its parent's watch tells the same, and the root's own is of no interest.
    if (name === '') return;
    const path = join(directory, name);
    const isDirectory = (mask & inotifyMask.isDirectory) !== 0;
    if ((mask & inotifyMask.movedFrom) !== 0 && isDirectory) this.#forgetBelow(path);
    const kind = kindOf(mask);
    if (kind === undefined) return;
    this.#push({ kind, path });
    if (kind === 'create' && isDirectory && this.#recursive) {
      asIdentity(this.#user, () => {
        if (this.#add(path)) this.#descend(path, true);
      });
    }
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

  #push(event: WatchEvent): void {
    const last = this.#pending.at(-1);
    if (last !== undefined && last.kind === event.kind && last.path === event.path) return;
    if (this.#pending.length >= frameBounds.eventPaths) this.#dropped += 1;
    else this.#pending.push(event);
    this.#arm();
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#outlet.congested) return this.#arm();
      this.#outlet.event({ event: 'watch', watchId: this.#id, events: this.#pending, droppedEvents: this.#dropped });
      this.#pending = [];
      this.#dropped = 0;
    }, gatherMs);
  }
}

function kindOf(mask: number): WatchEvent['kind'] | undefined {
  if ((mask & (inotifyMask.create | inotifyMask.movedTo)) !== 0) return 'create';
  if ((mask & inotifyMask.modify) !== 0) return 'write';
  if ((mask & inotifyMask.remove) !== 0) return 'remove';
  if ((mask & inotifyMask.movedFrom) !== 0) return 'rename';
  return (mask & inotifyMask.attributes) !== 0 ? 'chmod' : undefined;
}
