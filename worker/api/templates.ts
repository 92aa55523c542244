import { listTemplatesRoute } from '../contract/templates.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';

export const registerTemplates = (app: App): void => {
  app.openapi(listTemplatesRoute, async (c) => {
    const ctx = contextOf(c);
    const templates = await ctx.templates.list(ctx.directory, ctx.now());
    return c.json({ templates: templates.map(({ name, image }) => ({ name, image })) }, 200);
  });
};
