import { fileWatcherRoutes } from '../contract/file-watchers.ts';
import { createWatcher, removeWatcher, takeEvents } from '../core/files/watchers.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { changeView } from './file-view.ts';

export const registerFileWatchers = (app: App): void => {
  app.openapi(fileWatcherRoutes.create, async (c) => {
    const ctx = contextOf(c);
    return c.json(await createWatcher(ctx, sandboxRefOf(c, ctx), c.req.valid('json')), 201);
  });

  app.openapi(fileWatcherRoutes.takeEvents, async (c) => {
    const ctx = contextOf(c);
    const { events, droppedEvents } = await takeEvents(ctx, sandboxRefOf(c, ctx), c.req.valid('param').watcherId);
    return c.json({ changes: events.map(changeView), droppedEvents }, 200);
  });

  app.openapi(fileWatcherRoutes.remove, async (c) => {
    const ctx = contextOf(c);
    await removeWatcher(ctx, sandboxRefOf(c, ctx), c.req.valid('param').watcherId);
    return c.body(null, 204);
  });
};
