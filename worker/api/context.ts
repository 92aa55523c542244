import type { Context as HonoContext } from 'hono';
import type { AdminContext, Context, SandboxRef } from '../core/ports.ts';
import { sandboxRefOf as coreSandboxRefOf } from '../core/sandboxes/sandbox-ref.ts';
import type { AppEnv } from './app-env.ts';
import { describeCause } from '../core/describe-cause.ts';

type Handled = HonoContext<AppEnv>;

const afterOf = (c: Handled) => (work: Promise<unknown>) => {
  const { requestId, log } = c.var;
  const watched = work.catch((error: unknown) => {
    log({ level: 'error', requestId, message: 'work after the answer failed', cause: describeCause(error) });
  });
  c.executionCtx.waitUntil(watched);
};

/** For routes without a tenant: the administrator's, health. */
export const adminContextOf = (c: Handled): AdminContext => ({
  ...c.var.services,
  requestId: c.var.requestId,
  signal: c.req.raw.signal,
  after: afterOf(c),
  log: (level, message, cause) => {
    c.var.log({
      level,
      requestId: c.var.requestId,
      message,
      ...(cause === undefined ? {} : { cause: describeCause(cause) }),
    });
  },
});

/** What a tenant's verb gets. */
export const contextOf = (c: Handled): Context => {
  const { actor } = c.var;
  if (!actor) throw new Error("a tenant's route was reached without authentication");
  return { ...adminContextOf(c), actor };
};

/** The path's sandbox. */
export const sandboxRefOf = (c: Handled, ctx: Context): SandboxRef =>
  coreSandboxRefOf(ctx, c.req.param('sandboxId') ?? '');
