import { errorFromRunner } from '../../../../core/errors.ts';
import type { Feed } from '../../../../core/feed.ts';
import { watchFiles } from '../../../../core/files/watch-files.ts';
import { createWatcher, removeWatcher, takeEvents } from '../../../../core/files/watchers.ts';
import type { EventStream, StreamEvent } from '../../../../core/ports.ts';
import { ConnectError } from '../connect/failure.ts';
import { serverStream } from '../connect/server-stream.ts';
import { expandPath } from '../path.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { callerOf, fileCall, inItsWords } from './call.ts';
import { viewEntry } from './entry.ts';
import { watcherRequest, watchRequest } from './messages.ts';

type WatchEvent = Extract<StreamEvent, { t: 'watch' }>['events'][number];

const eventType = {
  create: 'EVENT_TYPE_CREATE',
  write: 'EVENT_TYPE_WRITE',
  remove: 'EVENT_TYPE_REMOVE',
  rename: 'EVENT_TYPE_RENAME',
  chmod: 'EVENT_TYPE_CHMOD',
} as const satisfies Record<WatchEvent['kind'], string>;

/** As filesystem.FilesystemEvent; `root`: the watched directory, absolute. */
const viewEvent = (root: string, { kind, path, entry }: WatchEvent) => ({
  name: path.slice(root === '/' ? 1 : root.length + 1),
  type: eventType[kind],
  ...(entry === undefined ? {} : { entry: viewEntry(entry) }),
});

/** Better than going on as if nothing had been missed. */
const refuseLoss = (droppedEvents: number): void => {
  if (droppedEvents === 0) return;
  throw new ConnectError('data_loss', `${droppedEvents} events were lost: look at the directory, and watch it again`);
};

const requestOf = (c: Handled, asked: { path: string; recursive: boolean; includeEntry: boolean }) => {
  const { user, privileged } = callerOf(c);
  const { recursive, includeEntry } = asked;
  return { path: expandPath(asked.path), user, privileged, recursive, includeEntries: includeEntry };
};

const watchDir = serverStream(
  '/filesystem.Filesystem/WatchDir',
  watchRequest,
  { keepalive: {} },
  async ({ c, ctx, ref }, message) => {
    try {
      const request = requestOf(c, message);
      const { path, user, privileged } = request;
      const root = await ctx.broker.file(ref, 'stat', { path, user, privileged, followSymlinks: false });
      const events = await watchFiles(ctx, ref, request);
      return watchMessages(root.path, events);
    } catch (error) {
      throw inItsWords(error, c);
    }
  },
);

const watchMessages = (root: string, events: EventStream): Feed<object> => {
  let messages: object[] = [{ start: {} }];
  let droppedEvents = 0;
  return {
    next: async () => {
      for (;;) {
        const message = messages.shift();
        if (message) return message;
        refuseLoss(droppedEvents);
        const event = await events.next();
        if (!event) return undefined;
        if (event.t === 'error') throw errorFromRunner(event.fault);
        if (event.t !== 'watch') continue;
        messages = event.events.map((change) => ({ filesystem: viewEvent(root, change) }));
        droppedEvents = event.droppedEvents;
      }
    },
    cancel: () => events.cancel(),
  };
};

const create = fileCall('CreateWatcher', watchRequest, ({ c, ctx, ref }, message) =>
  createWatcher(ctx, ref, requestOf(c, message)),
);

const getEvents = fileCall('GetWatcherEvents', watcherRequest, async ({ ctx, ref }, { watcherId }) => {
  const { root, events, droppedEvents } = await takeEvents(ctx, ref, watcherId);
  refuseLoss(droppedEvents);
  return { events: events.map((event) => viewEvent(root, event)) };
});

const remove = fileCall('RemoveWatcher', watcherRequest, async ({ ctx, ref }, { watcherId }) => {
  await removeWatcher(ctx, ref, watcherId);
  return {};
});

export const watchRoutes: readonly EnvdRoute[] = [watchDir, create, getEvents, remove];
