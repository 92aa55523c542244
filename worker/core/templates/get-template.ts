import { eq } from 'drizzle-orm';
import { templates, type Template } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { AdminContext } from '../ports.ts';

/** As it is on record now, whatever the catalog has cached. */
export const getTemplate = async (ctx: AdminContext, name: string): Promise<Template> => {
  const [template] = await ctx.directory.select().from(templates).where(eq(templates.name, name)).limit(1);
  if (!template) throw templateNotFound(name);
  return template;
};

export const templateNotFound = (name: string) =>
  new ServiceError('not_found', `There is no template with the name ${name.slice(0, 64)}.`);
