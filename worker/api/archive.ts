import { fileContentRoutes } from '../contract/file-contents.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { bodyOf } from './request-bytes.ts';
import { contentHeaders, answerBytes } from './response-bytes.ts';

export const registerArchive = (app: App): void => {
  app.openapi(fileContentRoutes.readArchive, async (c) => {
    const ctx = contextOf(c);
    const ref = sandboxRefOf(c, ctx);
    const target = c.req.valid('query');
    const { head, body } = await ctx.broker.readFile(ref, { kind: 'tar', ...target });
    return answerBytes(
      ctx,
      body,
      head.contentBytes,
      200,
      contentHeaders('application/x-tar', `${head.entry.name}.tar`),
    );
  });

  app.openapi(fileContentRoutes.writeArchive, async (c) => {
    const ctx = contextOf(c);
    const { body, contentBytes } = bodyOf(c);
    const write = { kind: 'tar' as const, ...c.req.valid('query') };
    const { writtenBytes } = await ctx.broker.writeFile(sandboxRefOf(c, ctx), write, body, contentBytes);
    return c.json({ writtenBytes }, 200);
  });
};
