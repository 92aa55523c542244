import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';

/** `[team/]name[:tag]`, as E2B writes what a sandbox is made from. */
export interface TemplateReference {
  team: string | undefined;
  name: string;
  /** Absent: the default one. */
  tag: string | undefined;
}

const pattern = /^(?:([a-z0-9_-]+)\/)?([a-z0-9_-]+)(?::([a-z0-9_.-]+))?$/;
const referenceChars = 256;

const defaultTag = 'default';

/** Upper case and space around it mean nothing, as in E2B. Throws invalid_argument. */
export const parseTemplateReference = (text: string): TemplateReference => {
  const match = text.length > referenceChars ? null : pattern.exec(text.trim().toLowerCase());
  if (!match) {
    throw new ServiceError(
      'invalid_argument',
      `Invalid template reference: '${text.slice(0, 64)}' is not a template's id or name, team/name or name:tag.`,
    );
  }
  const [, team, name = '', tag] = match;
  return { team, name, tag: tag === defaultTag ? undefined : tag };
};

export const templateNotFound = (name: string): ServiceError =>
  new ServiceError('not_found', `template '${name}' not found`);

/** What E2B writes before a tenant's own names. */
export const teamOf = ({ tenant }: Context['actor']): string =>
  tenant.name
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '') || tenant.id;

/** The template of that name, whatever tag is asked for; undefined: none that the tenant may use. */
export const findTemplate = async (ctx: Context, text: string): Promise<{ template: string } | undefined> => {
  const { team, name } = parseTemplateReference(text);
  if (team !== undefined && team !== teamOf(ctx.actor) && team !== ctx.actor.tenant.id) return undefined;
  const known = await ctx.templates.list(ctx.directory, ctx.now());
  const template = known.find((candidate) => candidate.name.toLowerCase() === name);
  return template && { template: template.name };
};

/** What a sandbox is made from. One name has one template here: other tags than the default are missing ones. Throws not_found. */
export const resolveTemplate = async (ctx: Context, text: string): Promise<{ template: string }> => {
  const { team, name, tag } = parseTemplateReference(text);
  const found = await findTemplate(ctx, text);
  if (!found) throw templateNotFound(team === undefined ? name : `${team}/${name}`);
  if (tag !== undefined) throw new ServiceError('not_found', `tag '${tag}' does not exist for template '${name}'`);
  return found;
};
