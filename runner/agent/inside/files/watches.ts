import { frameBounds } from '../../../protocol/agent.ts';
import type { FileInput, FileOutput, FileWatch } from '../../../protocol/files.ts';
import { limits } from '../../../protocol/limits.ts';
import { AgentFault } from '../fault.ts';
import type { Outlet } from '../reader.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { EventBuffer } from './event-buffer.ts';
import { Inotify } from './inotify.ts';

/** Events are gathered this long: many of them repeat. */
const gatherMs = 20;
/** What a frame has room for, one of the largest events among them. */
const frameEvents = { events: frameBounds.eventPaths, bytes: 160 * 1024 };
/** Of a burst (an unpacked archive, a removed tree), until it is told frame by frame. As many as the kernel's own queue. */
const burstEvents = { events: 16_384, bytes: 4 * 1024 * 1024 };
const watcherEvents = { events: limits.watcherEvents, bytes: limits.watcherEventBytes };
const minuteMs = 60_000;

interface Watched {
  watch: DirectoryWatch;
  /** The kernel has dropped events, of this watch or another. */
  lost(): void;
  close(): void;
}
interface Watcher extends Watched {
  buffer: EventBuffer;
  /** Of the sandbox's own time: while it is paused none pass. */
  idleMinutes: number;
}

/**
 * The sandbox's directory watches. Those of a reader belong to a control connection: a host that comes back asks again. Watchers gather their
 * events for whoever fetches them, whatever becomes of the connection.
 */
export class Watches {
  readonly #watches = new Map<number, Watched>();
  readonly #watchers = new Map<string, Watcher>();
  #minutes: Timer | undefined;
  readonly #inotify = new Inotify(() => {
    for (const watched of [...this.#watches.values(), ...this.#watchers.values()]) {
      watched.lost();
      watched.watch.overflowed();
    }
  });

  open(watchId: number, request: FileWatch, outlet: Outlet): void {
    refuseMore(this.#watches.size);
    const buffer = new EventBuffer(burstEvents);
    let timer: Timer | undefined;
    const arm = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        if (outlet.congested) return arm();
        outlet.event({ event: 'watch', watchId, ...buffer.take(frameEvents) });
        if (!buffer.empty) arm();
      }, gatherMs);
    };
    const watch = new DirectoryWatch(request, this.#inotify, (event) => {
      buffer.push(event);
      arm();
    });
    watch.begin();
    const lost = (): void => {
      buffer.dropped();
      arm();
    };
    const close = (): void => {
      clearTimeout(timer);
      watch.close();
    };
    this.#watches.set(watchId, { watch, lost, close });
  }

  close(watchId: number): void {
    this.#watches.get(watchId)?.close();
    this.#watches.delete(watchId);
  }

  closeAll(): void {
    for (const watchId of this.#watches.keys()) this.close(watchId);
  }

  createWatcher(request: FileInput<'watcherCreate'>): FileOutput<'watcherCreate'> {
    refuseMore(this.#watchers.size);
    const buffer = new EventBuffer(watcherEvents);
    const watch = new DirectoryWatch(request, this.#inotify, (event) => buffer.push(event));
    watch.begin();
    const watcherId = crypto.randomUUID().replaceAll('-', '');
    const watched = { watch, buffer, lost: () => buffer.dropped(), close: () => watch.close() };
    this.#watchers.set(watcherId, { ...watched, idleMinutes: 0 });
    this.#minutes ??= setInterval(() => this.#minutePassed(), minuteMs);
    return { watcherId };
  }

  /** What was done before this was called is among them. */
  async watcherEvents({ watcherId }: FileInput<'watcherEvents'>): Promise<FileOutput<'watcherEvents'>> {
    const { buffer, watch } = this.#watcher(watcherId);
    await this.#inotify.caughtUp();
    this.#watcher(watcherId).idleMinutes = 0;
    return { root: watch.root, ...buffer.take() };
  }

  removeWatcher({ watcherId }: FileInput<'watcherRemove'>): FileOutput<'watcherRemove'> {
    this.#watcher(watcherId).close();
    this.#watchers.delete(watcherId);
    if (this.#watchers.size > 0) return {};
    clearInterval(this.#minutes);
    this.#minutes = undefined;
    return {};
  }

  #watcher(watcherId: string): Watcher {
    const watcher = this.#watchers.get(watcherId);
    if (watcher !== undefined) return watcher;
    throw new AgentFault('watcher_not_found', 'There is no such watcher; it was removed, or not asked for an hour.');
  }

  #minutePassed(): void {
    for (const [watcherId, watcher] of this.#watchers) {
      watcher.idleMinutes += 1;
      if (watcher.idleMinutes >= limits.watcherIdleMinutes) this.removeWatcher({ watcherId });
    }
  }
}

function refuseMore(count: number): void {
  if (count < limits.watchesPerSandbox) return;
  throw new AgentFault('too_many_watches', `The sandbox has ${limits.watchesPerSandbox} watches already.`);
}
