import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { timestampOf } from '../../api/timestamp.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';
import { defaultRangeMs, getActivity } from '../../core/tenants/get-activity.ts';
import { credentialOf } from './authenticate.ts';
import { toE2bKey } from './key.ts';
import { readQuery } from './read-query.ts';
import type { E2bRoute, Handled } from './route.ts';

/** A team is a tenant; one's own is the only one. Throws permission_denied, for another's id as for one that there is not. */
export const requireOwnTeam = (ctx: Context, teamID: string): void => {
  if (teamID === ctx.actor.tenant.id) return;
  throw new ServiceError('permission_denied', 'You are not authorized to access this team.');
};

/** The CLI signs in by this: the key in it is the one that it was asked with. */
const list = (c: Handled) => {
  const { tenant } = contextOf(c).actor;
  const team = { teamID: tenant.id, name: tenant.name, apiKey: toE2bKey(credentialOf(c)), isDefault: true };
  return c.json([team], 200);
};

const seconds = z.coerce.number().pipe(z.int().min(0).max(253_402_300_799));
const rangeQuery = { start: seconds.optional(), end: seconds.optional() };

const activityOf = (c: Handled, { start, end }: { start?: number | undefined; end?: number | undefined }) => {
  const ctx = contextOf(c);
  requireOwnTeam(ctx, c.req.param('teamID') ?? '');
  const endMs = end === undefined ? ctx.now() : end * 1000;
  return getActivity(ctx, { startMs: start === undefined ? endMs - defaultRangeMs : start * 1000, endMs });
};

const viewTime = (atMs: number) => ({ timestamp: timestampOf(atMs), timestampUnix: Math.floor(atMs / 1000) });

const metrics = async (c: Handled) => {
  const { stepMs, steps } = await activityOf(c, readQuery(c, z.object(rangeQuery)));
  const view = steps.map(({ atMs, concurrent, started }) => ({
    ...viewTime(atMs),
    concurrentSandboxes: concurrent,
    sandboxStartRate: (started * 1000) / stepMs,
  }));
  return c.json(view, 200);
};

const maxQuery = z.object({ ...rangeQuery, metric: z.enum(['concurrent_sandboxes', 'sandbox_start_rate']) });

const maxMetrics = async (c: Handled) => {
  const { metric, ...range } = readQuery(c, maxQuery);
  const { stepMs, steps } = await activityOf(c, range);
  const values = steps.map(({ atMs, concurrent, started }) => ({
    atMs,
    value: metric === 'concurrent_sandboxes' ? concurrent : (started * 1000) / stepMs,
  }));
  const highest = values.reduce((best, next) => (next.value > best.value ? next : best));
  return c.json({ ...viewTime(highest.atMs), value: highest.value }, 200);
};

export const teamRoutes: readonly E2bRoute[] = [
  { method: 'GET', path: '/teams', body: 'none', handler: list },
  { method: 'GET', path: '/teams/{teamID}/metrics', body: 'none', handler: metrics },
  { method: 'GET', path: '/teams/{teamID}/metrics/max', body: 'none', handler: maxMetrics },
];
