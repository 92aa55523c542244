import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { timestampOf } from '../../api/timestamp.ts';
import { decodeCursor, encodeCursor } from '../../core/cursor.ts';
import type { Context } from '../../core/ports.ts';
import { defaultSize } from './new-sandbox.ts';
import { invalidNextToken } from './next-token.ts';
import { readQuery } from './read-query.ts';
import type { E2bRoute, Handled } from './route.ts';
import { envdVersion } from './sandbox-view.ts';
import { requireOwnTeam } from './teams.ts';
import { resolveTemplate, templateNotFound } from './template-names.ts';

type TemplateRow = Awaited<ReturnType<Context['templates']['list']>>[number];

/** Templates are the operator's here: nobody built them by this API. E2B's schema wants a build's id all the same. */
const buildID = '00000000-0000-0000-0000-000000000000';

const size = { cpuCount: defaultSize.cpus, memoryMB: defaultSize.memoryMiB, diskSizeMB: 0 };

const viewNames = ({ name, createdAtMs }: TemplateRow) => ({
  templateID: name,
  public: true,
  aliases: [name],
  names: [name],
  createdAt: timestampOf(createdAtMs),
  updatedAt: timestampOf(createdAtMs),
  lastSpawnedAt: null,
  spawnCount: 0,
});

const viewTemplate = (row: TemplateRow) => ({
  ...viewNames(row),
  ...size,
  buildID,
  buildCount: 1,
  buildStatus: 'ready',
  createdBy: null,
  envdVersion,
});

const viewWithBuilds = (row: TemplateRow) => {
  const at = timestampOf(row.createdAtMs);
  const build = { buildID, status: 'ready', createdAt: at, updatedAt: at, finishedAt: at, ...size, envdVersion };
  return { ...viewNames(row), builds: [build] };
};

const listAll = (ctx: Context): Promise<readonly TemplateRow[]> => ctx.templates.list(ctx.directory, ctx.now());

const list = async (c: Handled) => {
  const ctx = contextOf(c);
  const { teamID } = readQuery(c, z.object({ teamID: z.string().max(128).optional() }));
  if (teamID !== undefined) requireOwnTeam(ctx, teamID);
  return c.json((await listAll(ctx)).map(viewTemplate), 200);
};

const pageQuery = z.object({
  teamID: z.string().max(128).optional(),
  nextToken: z.string().max(512).optional(),
  limit: z.coerce.number().pipe(z.int().min(1).max(100, 'limit is at most 100')).default(100),
});

const afterOf = (nextToken: string | undefined): string => {
  if (nextToken === undefined) return '';
  try {
    return decodeCursor(nextToken, ['string'])[0];
  } catch {
    throw invalidNextToken();
  }
};

const listPage = async (c: Handled) => {
  const ctx = contextOf(c);
  const { teamID, nextToken, limit } = readQuery(c, pageQuery);
  if (teamID !== undefined) requireOwnTeam(ctx, teamID);
  const after = afterOf(nextToken);
  const rest = (await listAll(ctx)).filter(({ name }) => name > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  if (last && rest.length > limit) c.header('x-next-token', encodeCursor([last.name]));
  return c.json(page.map(viewTemplate), 200);
};

/** By its name, as a create would take it. Throws not_found. */
const find = async (ctx: Context, text: string): Promise<TemplateRow> => {
  const { template } = await resolveTemplate(ctx, text);
  const row = (await listAll(ctx)).find(({ name }) => name === template);
  if (!row) throw templateNotFound(template);
  return row;
};

const get = async (c: Handled) =>
  c.json(viewWithBuilds(await find(contextOf(c), c.req.param('templateID') ?? '')), 200);

/** `Template.exists` of the SDKs: 404 is no. */
const getAlias = async (c: Handled) => {
  const { name } = await find(contextOf(c), c.req.param('alias') ?? '');
  return c.json({ templateID: name, public: true }, 200);
};

export const templateRoutes: readonly E2bRoute[] = [
  { method: 'GET', path: '/templates', body: 'none', handler: list },
  { method: 'GET', path: '/v2/templates', body: 'none', handler: listPage },
  { method: 'GET', path: '/templates/aliases/{alias}', body: 'none', handler: getAlias },
  { method: 'GET', path: '/templates/{templateID}', body: 'none', handler: get },
];
