import { uploadRoutes } from '../contract/file-contents.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { entryView } from './file-view.ts';
import { bodyOf } from './request-bytes.ts';

export const registerUploads = (app: App): void => {
  app.openapi(uploadRoutes.create, async (c) => {
    const ctx = contextOf(c);
    const { mode, ...body } = c.req.valid('json');
    const input = mode === undefined ? body : { ...body, mode };
    const { uploadId } = await ctx.broker.file(sandboxRefOf(c, ctx), 'uploadCreate', input);
    return c.json({ uploadId, partBytes: body.partBytes }, 201);
  });

  app.openapi(uploadRoutes.writePart, async (c) => {
    const ctx = contextOf(c);
    const { uploadId, part } = c.req.valid('param');
    const write = { kind: 'part' as const, uploadId, part, user: c.req.valid('query').user };
    const { body, contentBytes } = bodyOf(c);
    const { writtenBytes } = await ctx.broker.writeFile(sandboxRefOf(c, ctx), write, body, contentBytes);
    return c.json({ writtenBytes }, 200);
  });

  app.openapi(uploadRoutes.complete, async (c) => {
    const ctx = contextOf(c);
    const input = {
      uploadId: c.req.valid('param').uploadId,
      user: c.req.valid('query').user,
      parts: c.req.valid('json').parts,
    };
    const { entry } = await ctx.broker.file(sandboxRefOf(c, ctx), 'uploadComplete', input);
    return c.json({ entry: entryView(entry) }, 200);
  });

  app.openapi(uploadRoutes.abort, async (c) => {
    const ctx = contextOf(c);
    const input = { uploadId: c.req.valid('param').uploadId, user: c.req.valid('query').user };
    await ctx.broker.file(sandboxRefOf(c, ctx), 'uploadAbort', input);
    return c.body(null, 204);
  });
};
