import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { createSandbox } from '../../core/sandboxes/create-sandbox.ts';
import { killSandbox } from '../../core/sandboxes/end-sandbox.ts';
import { extendDeadline } from '../../core/sandboxes/extend-deadline.ts';
import { getSandbox } from '../../core/sandboxes/get-sandbox.ts';
import { setDeadline } from '../../core/sandboxes/set-deadline.ts';
import { whileConflict } from '../../core/sandboxes/while-conflict.ts';
import { createInputOf, newSandboxInput, type CreateTerms } from './new-sandbox.ts';
import { ofSandbox, sandboxNotFound } from './of-sandbox.ts';
import { readJson } from './read-json.ts';
import type { E2bRoute, Handled } from './route.ts';
import { e2bStateOf, viewAccess, viewDetail } from './sandbox-view.ts';
import { timeoutInput, withinLimit } from './timeout.ts';

const create = (terms: CreateTerms) => async (c: Handled) => {
  const ctx = contextOf(c);
  const input = await createInputOf(ctx, await readJson(c, newSandboxInput), terms);
  const { sandbox } = await createSandbox(ctx, input);
  return c.json(await viewAccess(ctx, sandbox), 201);
};

const getInfo = ofSandbox(async (c, ctx, sandboxId) => {
  const row = await getSandbox(ctx, sandboxId);
  const state = e2bStateOf(row);
  if (state === null) throw sandboxNotFound(sandboxId);
  return c.json(await viewDetail(ctx, row, state), 200);
});

const kill = ofSandbox(async (c, ctx, sandboxId) => {
  await killSandbox(ctx, sandboxId, 0);
  return c.body(null, 204);
});

const timeoutBody = z.object({ timeout: timeoutInput });

/** Waits for a snapshot or other rules that are under way. A paused sandbox has no time to set: E2B says that there is none. */
const changeTimeout = ofSandbox(
  async (c, ctx, sandboxId) => {
    const { timeout } = await readJson(c, timeoutBody);
    const seconds = withinLimit(ctx, timeout);
    await whileConflict(ctx, () => setDeadline(ctx, sandboxId, seconds));
    return c.body(null, 204);
  },
  ['sandbox_not_running'],
);

const refreshSeconds = { shortest: 15, longest: 3600 };
const refreshBody = z.object({
  duration: z.int().min(0).max(refreshSeconds.longest).default(refreshSeconds.shortest),
});

const refresh = ofSandbox(
  async (c, ctx, sandboxId) => {
    const { duration } = await readJson(c, refreshBody);
    const seconds = Math.max(duration, refreshSeconds.shortest);
    const allowed = Math.min(seconds, ctx.actor.tenant.maxTtlSeconds);
    await whileConflict(ctx, () => extendDeadline(ctx, sandboxId, allowed));
    return c.body(null, 204);
  },
  ['sandbox_not_running'],
);

export const sandboxRoutes: readonly E2bRoute[] = [
  {
    method: 'POST',
    path: '/sandboxes',
    body: 'json',
    handler: create({ defaultTimeoutSeconds: 15, alwaysSecure: false }),
  },
  {
    method: 'POST',
    path: '/v2/sandboxes',
    body: 'json',
    handler: create({ defaultTimeoutSeconds: 300, alwaysSecure: true }),
  },
  { method: 'GET', path: '/sandboxes/{sandboxID}', body: 'none', handler: getInfo },
  { method: 'DELETE', path: '/sandboxes/{sandboxID}', body: 'none', handler: kill },
  { method: 'POST', path: '/sandboxes/{sandboxID}/timeout', body: 'json', handler: changeTimeout },
  { method: 'POST', path: '/sandboxes/{sandboxID}/refreshes', body: 'optional-json', handler: refresh },
];
