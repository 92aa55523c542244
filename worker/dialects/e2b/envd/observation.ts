import { contextOf } from '../../../api/context.ts';
import { sandboxRefOf } from '../../../core/sandboxes/sandbox-ref.ts';
import type { EnvdRoute, Handled } from './route.ts';

const sandboxOf = (c: Handled) => {
  const ctx = contextOf(c);
  return { ctx, ref: sandboxRefOf(ctx, c.var.sandbox?.sandboxId ?? '') };
};

/** The SDKs ask this to tell a sandbox that is gone (502) from a connection that broke: its runner's word, at once. */
const health = async (c: Handled): Promise<Response> => {
  const { ctx, ref } = sandboxOf(c);
  await ctx.broker.ping(ref);
  return c.body(null, 204);
};

const bytesInMiB = 1024 * 1024;

const metrics = async (c: Handled): Promise<Response> => {
  const { ctx, ref } = sandboxOf(c);
  const now = await ctx.broker.metrics(ref);
  return c.json({
    ts: Math.floor(now.atMs / 1000),
    cpu_count: now.cpus,
    cpu_used_pct: Math.round(now.cpuUsedPercent * 100) / 100,
    mem_total: now.memoryLimitBytes,
    mem_used: now.memoryUsedBytes,
    mem_cache: now.memoryCacheBytes,
    mem_total_mib: Math.floor(now.memoryLimitBytes / bytesInMiB),
    mem_used_mib: Math.floor(now.memoryUsedBytes / bytesInMiB),
    disk_used: now.diskUsedBytes,
    disk_total: now.diskLimitBytes,
  });
};

/** The code interpreter's server reads them. */
const envs = async (c: Handled): Promise<Response> => {
  const { ctx, ref } = sandboxOf(c);
  return c.json(await ctx.broker.environment(ref));
};

export const observationRoutes: readonly EnvdRoute[] = [
  { method: 'GET', path: '/health', access: 'anybody', handler: health },
  { method: 'GET', path: '/metrics', access: 'token', handler: metrics },
  { method: 'GET', path: '/envs', access: 'token', handler: envs },
];
