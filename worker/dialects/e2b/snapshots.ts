import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { isSnapshotId } from '../../core/ids.ts';
import type { Context } from '../../core/ports.ts';
import { ServiceError } from '../../core/errors.ts';
import { createSnapshot } from '../../core/snapshots/create-snapshot.ts';
import { deleteSnapshot } from '../../core/snapshots/delete-snapshot.ts';
import { forkSandbox, type Forked } from '../../core/snapshots/fork-sandbox.ts';
import { listSnapshots } from '../../core/snapshots/list-snapshots.ts';
import { viewFailure } from './error.ts';
import { pageAfterToken } from './next-token.ts';
import { ofSandbox, idOf } from './of-sandbox.ts';
import { readJson } from './read-json.ts';
import { readQuery } from './read-query.ts';
import type { E2bRoute, Handled } from './route.ts';
import { viewAccess } from './sandbox-view.ts';
import { defaultTag, parseNewName, snapshotRefOf, viewSnapshot } from './snapshot-names.ts';
import { parseTemplateReference, teamOf } from './template-names.ts';
import { runningTime, timeoutInput } from './timeout.ts';

const snapshotBody = z.object({ name: z.string().max(256).nullish() });

const create = ofSandbox(async (c, ctx, sandboxId) => {
  const { name } = await readJson(c, snapshotBody);
  const input = typeof name === 'string' ? parseNewName(ctx, name) : { name: null, tag: defaultTag };
  return c.json(viewSnapshot(ctx, await createSnapshot(ctx, sandboxId, { ...input, memory: true })), 201);
});

const listQuery = z.object({
  sandboxID: z.string().max(128).optional(),
  name: z.string().max(256).optional(),
  nextToken: z.string().max(512).optional(),
  limit: z.coerce.number().pipe(z.int().min(1).max(100, 'limit is at most 100')).default(100),
});

/** A bare name is of any tag. Throws invalid_argument for another team's. */
const filterByName = (ctx: Context, text: string) => {
  const { team, name, tag } = parseTemplateReference(text);
  if (team === undefined && isSnapshotId(name)) return { id: name, name: undefined, tag: undefined };
  const own = parseNewName(ctx, `${team ?? teamOf(ctx.actor)}/${name}`);
  return { id: undefined, name: own.name, tag: tag ?? (text.includes(':') ? defaultTag : undefined) };
};

const list = async (c: Handled) => {
  const ctx = contextOf(c);
  const query = readQuery(c, listQuery);
  const named =
    query.name === undefined ? { id: undefined, name: undefined, tag: undefined } : filterByName(ctx, query.name);
  const sandboxId = query.sandboxID === undefined ? undefined : idOf(query.sandboxID);
  const page = { order: 'desc', cursor: query.nextToken, limit: query.limit } as const;
  const { snapshots, nextCursor } = await pageAfterToken(listSnapshots(ctx, { ...named, sandboxId, ...page }));
  if (nextCursor !== null) c.header('x-next-token', nextCursor);
  return c.json(
    snapshots.map((row) => viewSnapshot(ctx, row)),
    200,
  );
};

/** Templates are the operator's: of what E2B's clients delete by this route only snapshots are theirs. */
const remove = async (c: Handled) => {
  const ctx = contextOf(c);
  const { templateID, namespace, name } = c.req.param() as Record<string, string | undefined>;
  const text = templateID ?? `${namespace}/${name}`;
  const ref = snapshotRefOf(ctx, parseTemplateReference(text));
  if (!ref) throw new ServiceError('not_found', `template '${text.slice(0, 64)}' not found`);
  await deleteSnapshot(ctx, ref);
  return c.body(null, 204);
};

/** E2B's own. */
const forkSeconds = 15;
const forkBody = z.object({
  timeout: timeoutInput.optional(),
  count: z.int().min(1, 'Count must be at least 1').max(100, 'Count cannot be greater than 100').default(1),
});

const fork = ofSandbox(async (c, ctx, sandboxId) => {
  const { timeout, count } = await readJson(c, forkBody);
  const timeoutSeconds = runningTime(ctx, timeout, forkSeconds);
  const { results } = await forkSandbox(ctx, sandboxId, { count, timeoutSeconds });
  const view = async (forked: Forked) =>
    'sandbox' in forked ? { sandbox: await viewAccess(ctx, forked.sandbox) } : { error: viewFailure(forked.error, c) };
  return c.json(await Promise.all(results.map(view)), 201);
});

export const snapshotRoutes: readonly E2bRoute[] = [
  { method: 'POST', path: '/sandboxes/{sandboxID}/snapshots', body: 'optional-json', handler: create },
  { method: 'POST', path: '/sandboxes/{sandboxID}/fork', body: 'optional-json', handler: fork },
  { method: 'GET', path: '/snapshots', body: 'none', handler: list },
  { method: 'DELETE', path: '/templates/{templateID}', body: 'none', handler: remove },
  // Some clients send the slash of a name as it is.
  { method: 'DELETE', path: '/templates/{namespace}/{name}', body: 'none', handler: remove },
];
