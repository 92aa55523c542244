import { z } from '@hono/zod-openapi';
import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';
import { connectSandbox } from '../../core/sandboxes/connect-sandbox.ts';
import { ensurePaused } from '../../core/sandboxes/ensure-paused.ts';
import { getSandbox } from '../../core/sandboxes/get-sandbox.ts';
import { resumeSandbox } from '../../core/sandboxes/resume-sandbox.ts';
import { ofSandbox } from './of-sandbox.ts';
import { readJson } from './read-json.ts';
import type { E2bRoute } from './route.ts';
import { viewAccess } from './sandbox-view.ts';
import { runningTime, timeoutInput, withinLimit } from './timeout.ts';

const pauseBody = z.object({ memory: z.boolean().default(true) });

/** The SDKs take 409 for «it was paused already», so nothing else may answer it. */
const pause = ofSandbox(async (c, ctx, sandboxId) => {
  const { memory } = await readJson(c, pauseBody);
  if ((await ensurePaused(ctx, sandboxId, memory)) === 'already') {
    throw new ServiceError('conflict', `Error pausing sandbox - sandbox '${sandboxId}' is already paused`);
  }
  return c.body(null, 204);
});

const connectBody = z.object({ timeout: timeoutInput });
const connectBodyV2 = z.object({ timeout: timeoutInput.optional(), memory: z.boolean().default(true) });
const connectSeconds = 300;

/** 201: it was paused. */
const connect = ofSandbox(async (c, ctx, sandboxId) => {
  const { timeout } = await readJson(c, connectBody);
  const { sandbox, resumed } = await connectSandbox(ctx, sandboxId, withinLimit(ctx, timeout));
  return c.json(await viewAccess(ctx, sandbox), resumed ? 201 : 200);
});

const connectV2 = ofSandbox(async (c, ctx, sandboxId) => {
  const { timeout, memory } = await readJson(c, connectBodyV2);
  const seconds = timeout ?? Math.min(connectSeconds, ctx.actor.tenant.maxTtlSeconds);
  const { sandbox, resumed } = await connectSandbox(ctx, sandboxId, withinLimit(ctx, seconds), memory);
  return c.json(await viewAccess(ctx, sandbox), resumed ? 201 : 200);
});

const resumeBody = z.object({ timeout: timeoutInput.optional(), autoPause: z.boolean().optional() });
const resumeSeconds = 15;

/** Deprecated in E2B: only of a paused sandbox. What happens at its timeout was said when it was made. */
const resume = ofSandbox(async (c, ctx, sandboxId) => {
  const { timeout, autoPause } = await readJson(c, resumeBody);
  const seconds = runningTime(ctx, timeout, resumeSeconds);
  if (autoPause !== undefined) await refuseOtherAction(ctx, sandboxId, autoPause ? 'pause' : 'kill');
  return c.json(await viewAccess(ctx, await resumeSandbox(ctx, sandboxId, seconds)), 201);
});

const refuseOtherAction = async (ctx: Context, sandboxId: string, action: 'pause' | 'kill'): Promise<void> => {
  const { onTimeout } = await getSandbox(ctx, sandboxId);
  if (onTimeout === action) return;
  throw new ServiceError('invalid_argument', `autoPause: the sandbox was made to ${onTimeout} at its timeout.`);
};

export const pauseRoutes: readonly E2bRoute[] = [
  { method: 'POST', path: '/sandboxes/{sandboxID}/pause', body: 'optional-json', handler: pause },
  { method: 'POST', path: '/sandboxes/{sandboxID}/resume', body: 'optional-json', handler: resume },
  { method: 'POST', path: '/sandboxes/{sandboxID}/connect', body: 'json', handler: connect },
  { method: 'POST', path: '/v2/sandboxes/{sandboxID}/connect', body: 'optional-json', handler: connectV2 },
];
