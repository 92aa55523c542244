import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';
import { countSandboxes } from '../../core/sandboxes/count-sandboxes.ts';
import { listSandboxes } from '../../core/sandboxes/list-sandboxes.ts';
import { decodeMetadata } from './metadata-query.ts';
import { pageAfterToken } from './next-token.ts';
import { readQuery } from './read-query.ts';
import type { E2bRoute, Handled } from './route.ts';
import { e2bStateOf, e2bStates, statesOf, viewListed } from './sandbox-view.ts';
import { findTemplate, parseTemplateReference } from './template-names.ts';

/** Of a version 1 list, which has no pages. */
const unpagedCount = 1_000;

const stateList = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',') : value),
  z.array(z.enum(e2bStates, 'a state is running or paused')).max(e2bStates.length),
);

const metadataText = z.string().max(64 * 1024, 'metadata is at most 64 KiB');

const listQuery = z.object({
  metadata: metadataText.optional(),
  state: stateList.optional(),
  order: z.enum(['asc', 'desc']).default('desc'),
  startedAfter: z.iso.datetime({ offset: true }).optional(),
  template: z.string().max(256).optional(),
  nextToken: z.string().max(512).optional(),
  limit: z.coerce.number().pipe(z.int().min(1).max(100, 'limit is at most 100')).default(100),
});

type Page = Awaited<ReturnType<typeof listSandboxes>>;

const viewPage = ({ sandboxes }: Page) =>
  sandboxes.flatMap((row) => {
    const state = e2bStateOf(row);
    return state === null ? [] : [viewListed(row, state)];
  });

/** Sandboxes carry no tag, so a list can't be narrowed to one but the default. undefined: no sandbox can be of it. */
const filterByTemplate = async (ctx: Context, text: string): Promise<string | undefined> => {
  if (parseTemplateReference(text).tag !== undefined) {
    throw new ServiceError('invalid_argument', 'Invalid template: a list is not narrowed to a tag.');
  }
  return (await findTemplate(ctx, text))?.template;
};

const list = async (c: Handled) => {
  const ctx = contextOf(c);
  const query = readQuery(c, listQuery);
  const states = query.state ?? e2bStates;
  const template = query.template === undefined ? undefined : await filterByTemplate(ctx, query.template);
  const running = states.includes('running');
  if (query.template !== undefined && template === undefined) {
    if (running) c.header('x-total-running', '0');
    return c.json([], 200);
  }
  const filter = {
    metadata: decodeMetadata(query.metadata),
    template,
    startedAfterMs: query.startedAfter === undefined ? undefined : Date.parse(query.startedAfter),
  };
  const page = { by: 'started', order: query.order, cursor: query.nextToken, limit: query.limit } as const;
  const [listed, total] = await Promise.all([
    pageAfterToken(listSandboxes(ctx, { ...filter, ...page, states: statesOf(states) })),
    running ? countSandboxes(ctx, { ...filter, states: statesOf(['running']) }) : undefined,
  ]);
  if (total !== undefined) c.header('x-total-running', String(total));
  if (listed.nextCursor !== null) c.header('x-next-token', listed.nextCursor);
  return c.json(viewPage(listed), 200);
};

/** Version 1: the running ones, newest first, no pages. */
const listRunning = async (c: Handled) => {
  const { metadata } = readQuery(c, z.object({ metadata: metadataText.optional() }));
  const input = { by: 'started', order: 'desc', cursor: undefined, limit: unpagedCount } as const;
  const filter = { states: statesOf(['running']), metadata: decodeMetadata(metadata) };
  return c.json(viewPage(await listSandboxes(contextOf(c), { ...input, ...filter })), 200);
};

export const sandboxListRoutes: readonly E2bRoute[] = [
  { method: 'GET', path: '/sandboxes', body: 'none', handler: listRunning },
  { method: 'GET', path: '/v2/sandboxes', body: 'none', handler: list },
];
