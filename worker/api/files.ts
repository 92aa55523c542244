import { fileRoutes } from '../contract/files.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { entryView } from './file-view.ts';

export const registerFiles = (app: App): void => {
  registerFileReads(app);
  registerFileWrites(app);
};

const registerFileReads = (app: App): void => {
  app.openapi(fileRoutes.list, async (c) => {
    const ctx = contextOf(c);
    const { resolveSymlinks, ...query } = c.req.valid('query');
    const input = { ...query, resolveLinks: resolveSymlinks };
    const listed = await ctx.broker.file(sandboxRefOf(c, ctx), 'list', input);
    return c.json({ entries: listed.entries.map(entryView), truncated: listed.truncated }, 200);
  });

  app.openapi(fileRoutes.stat, async (c) => {
    const ctx = contextOf(c);
    const { resolveSymlinks, ...query } = c.req.valid('query');
    const input = { ...query, resolveLinks: resolveSymlinks };
    const entry = await ctx.broker.file(sandboxRefOf(c, ctx), 'stat', input);
    return c.json({ entry: entryView(entry) }, 200);
  });

  app.openapi(fileRoutes.exists, async (c) => {
    const ctx = contextOf(c);
    const { exists } = await ctx.broker.file(sandboxRefOf(c, ctx), 'exists', c.req.valid('query'));
    return c.json({ exists }, 200);
  });
};

const registerFileWrites = (app: App): void => {
  app.openapi(fileRoutes.mkdir, async (c) => {
    const ctx = contextOf(c);
    const { mode, ...body } = c.req.valid('json');
    const input = mode === undefined ? body : { ...body, mode };
    const made = await ctx.broker.file(sandboxRefOf(c, ctx), 'mkdir', input);
    return c.json({ created: made.created, entry: entryView(made.entry) }, 200);
  });

  app.openapi(fileRoutes.move, async (c) => {
    const ctx = contextOf(c);
    const { entry } = await ctx.broker.file(sandboxRefOf(c, ctx), 'move', c.req.valid('json'));
    return c.json({ entry: entryView(entry) }, 200);
  });

  app.openapi(fileRoutes.copy, async (c) => {
    const ctx = contextOf(c);
    const { entry } = await ctx.broker.file(sandboxRefOf(c, ctx), 'copy', c.req.valid('json'));
    return c.json({ entry: entryView(entry) }, 200);
  });

  app.openapi(fileRoutes.compose, async (c) => {
    const ctx = contextOf(c);
    const { entry, writtenBytes } = await ctx.broker.file(sandboxRefOf(c, ctx), 'compose', c.req.valid('json'));
    return c.json({ entry: entryView(entry), writtenBytes }, 200);
  });

  app.openapi(fileRoutes.remove, async (c) => {
    const ctx = contextOf(c);
    const { removed } = await ctx.broker.file(sandboxRefOf(c, ctx), 'remove', c.req.valid('query'));
    return c.json({ removed }, 200);
  });
};
