import type { Context as HonoContext } from 'hono';
import type { AdminContext, Context, SandboxRef } from '../core/ports.ts';
import { sandboxRefOf as coreSandboxRefOf } from '../core/sandboxes/sandbox-ref.ts';
import type { AppEnv } from './app-env.ts';
import { describeCause } from '../core/describe-cause.ts';

type Handled = HonoContext<AppEnv>;

/** For routes without a tenant: the administrator's, health. One serves the request, who asks for it several times. */
export const adminContextOf = (c: Handled): AdminContext => {
  const known = c.get('context');
  if (known) return known;
  const made = makeContext(c);
  c.set('context', made);
  return made;
};

const makeContext = (c: Handled): AdminContext => {
  const requestId = c.get('requestId');
  const log = c.get('log');
  return {
    ...c.get('services'),
    requestId,
    signal: c.req.raw.signal,
    after: (work) => {
      const watched = work.catch((error: unknown) => {
        log({ level: 'error', requestId, message: 'work after the answer failed', cause: describeCause(error) });
      });
      c.executionCtx.waitUntil(watched);
    },
    log: (level, message, cause) => {
      log({ level, requestId, message, ...(cause === undefined ? {} : { cause: describeCause(cause) }) });
    },
  };
};

/** What a tenant's verb gets. */
export const contextOf = (c: Handled): Context => {
  const actor = c.get('actor');
  if (!actor) throw new Error("a tenant's route was reached without authentication");
  return { ...adminContextOf(c), actor };
};

/** The path's sandbox. */
export const sandboxRefOf = (c: Handled, ctx: Context): SandboxRef =>
  coreSandboxRefOf(ctx, c.req.param('sandboxId') ?? '');
