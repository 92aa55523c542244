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
/** Of JSON: a frame has room for them, and for one of the largest. */
const frameEventsBytes = 160 * 1024;
const minuteMs = 60_000;

interface Watched {
  watch: DirectoryWatch;
  buffer: EventBuffer;
  close(): void;
}
interface Watcher extends Watched {
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
    for (const { watch, buffer } of [...this.#watches.values(), ...this.#watchers.values()]) {
      buffer.dropped();
      watch.overflowed();
    }
  });

  open(watchId: number, request: FileWatch, outlet: Outlet): void {
    refuseMore(this.#watches.size);
    const buffer = new EventBuffer({ events: frameBounds.eventPaths, bytes: frameEventsBytes });
    let timer: Timer | undefined;
    const arm = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        if (outlet.congested) return arm();
        outlet.event({ event: 'watch', watchId, ...buffer.take() });
      }, gatherMs);
    };
    const watch = new DirectoryWatch(request, this.#inotify, (event) => {
      buffer.push(event);
      arm();
    });
    watch.begin();
    const close = (): void => {
      clearTimeout(timer);
      watch.close();
    };
    this.#watches.set(watchId, { watch, buffer, close });
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
    const buffer = new EventBuffer({ events: limits.watcherEvents, bytes: limits.watcherEventBytes });
    const watch = new DirectoryWatch(request, this.#inotify, (event) => buffer.push(event));
    watch.begin();
    const watcherId = crypto.randomUUID().replaceAll('-', '');
    this.#watchers.set(watcherId, { watch, buffer, idleMinutes: 0, close: () => watch.close() });
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
