import { z } from '@hono/zod-openapi';
import { contextOf } from '../../api/context.ts';
import { createSandbox, plainSandbox } from '../../core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../core/sandboxes/end-sandbox.ts';
import { readJson } from './read-json.ts';
import type { E2bRoute, Handled } from './route.ts';
import { viewAccess } from './sandbox-view.ts';

const size = { cpus: 2, memoryMiB: 512 };

const createBody = z.object({
  templateID: z.string().min(1).max(128),
  timeout: z.int().min(0).optional(),
  secure: z.boolean().optional(),
  metadata: z.record(z.string(), z.string()).default({}),
  envVars: z.record(z.string(), z.string()).default({}),
});

const create = (defaultTimeoutSeconds: number) => async (c: Handled) => {
  const ctx = contextOf(c);
  const body = await readJson(c, createBody);
  const { maxCpus, maxMemoryMiB } = ctx.actor.tenant;
  const { sandbox } = await createSandbox(ctx, {
    ...plainSandbox,
    template: body.templateID,
    timeoutSeconds: body.timeout ?? defaultTimeoutSeconds,
    timeoutMode: 'fixed',
    metadata: body.metadata,
    env: body.envVars,
    cpus: Math.min(size.cpus, maxCpus),
    memoryMiB: Math.min(size.memoryMiB, maxMemoryMiB),
    network: undefined,
    envdOpen: body.secure === false,
    idempotencyKey: undefined,
  });
  return c.json(await viewAccess(ctx, sandbox), 201);
};

const kill = async (c: Handled) => {
  await endSandbox(contextOf(c), c.req.param('sandboxID') ?? '', 0);
  return c.body(null, 204);
};

export const sandboxRoutes: readonly E2bRoute[] = [
  { method: 'POST', path: '/sandboxes', body: 'json', handler: create(15) },
  { method: 'POST', path: '/v2/sandboxes', body: 'json', handler: create(300) },
  { method: 'DELETE', path: '/sandboxes/{sandboxID}', body: 'none', handler: kill },
];
