import { eq } from 'drizzle-orm';
import { templates, type Template } from '../../../db/directory.ts';
import type { AdminContext } from '../ports.ts';
import { templateNotFound } from './get-template.ts';

/** Fleet is told, so that runners' pools follow with their next heartbeats; if that is lost they follow when its cache lapses. */
export const changeTemplate = async (
  ctx: AdminContext,
  name: string,
  change: { warmCount: number },
): Promise<Template> => {
  const [template] = await ctx.directory
    .update(templates)
    .set({ warmCount: change.warmCount })
    .where(eq(templates.name, name))
    .returning();
  if (!template) throw templateNotFound(name);
  ctx.after(ctx.fleet.forgetTemplates());
  return template;
};
