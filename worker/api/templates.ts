import * as routes from '../contract/templates.ts';
import { changeTemplate } from '../core/templates/change-template.ts';
import { getTemplate } from '../core/templates/get-template.ts';
import type { App } from './app-env.ts';
import { adminContextOf, contextOf } from './context.ts';

const viewManaged = ({ name, image, warmCount }: Awaited<ReturnType<typeof getTemplate>>) => ({
  name,
  image,
  warmCount,
});

export const registerTemplates = (app: App): void => {
  app.openapi(routes.listTemplatesRoute, async (c) => {
    const ctx = contextOf(c);
    const templates = await ctx.templates.list(ctx.directory, ctx.now());
    return c.json({ templates: templates.map(({ name, image }) => ({ name, image })) }, 200);
  });

  app.openapi(routes.getTemplateRoute, async (c) =>
    c.json(viewManaged(await getTemplate(adminContextOf(c), c.req.valid('param').name)), 200),
  );

  app.openapi(routes.changeTemplateRoute, async (c) => {
    const template = await changeTemplate(adminContextOf(c), c.req.valid('param').name, c.req.valid('json'));
    return c.json(viewManaged(template), 200);
  });
};
