import type { z } from '@hono/zod-openapi';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { contextOf } from '../../../../api/context.ts';
import { toServiceError } from '../../../../api/render-error.ts';
import type { Context, SandboxRef } from '../../../../core/ports.ts';
import { sandboxRefOf } from '../../../../core/sandboxes/sandbox-ref.ts';
import { isGone, renderEnvdFailure } from '../error.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { connectStatus } from './codes.ts';
import { ConnectError, connectFailure } from './failure.ts';
import { messageOf, readMessage } from './message.ts';

export interface Call {
  c: Handled;
  ctx: Context;
  ref: SandboxRef;
}

export const callOf = (c: Handled): Call => {
  const ctx = contextOf(c);
  return { c, ctx, ref: sandboxRefOf(ctx, c.var.sandbox?.sandboxId ?? '') };
};

/** POST /<package>.<Service>/<Method>: one JSON message in, one out. */
export const unary = <S extends z.ZodType>(
  path: string,
  schema: S,
  handle: (call: Call, message: z.output<S>) => Promise<object>,
): EnvdRoute => ({
  method: 'POST',
  path,
  access: 'token',
  handler: async (c) => {
    try {
      if (!/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
        return c.body(null, 415, { 'accept-post': 'application/json' });
      }
      return c.json(await handle(callOf(c), messageOf(schema, await readMessage(c.req.raw))));
    } catch (error) {
      if (!(error instanceof ConnectError) && isGone(toServiceError(error))) return renderEnvdFailure(error, c);
      const failure = connectFailure(error, c);
      return c.json(failure, connectStatus[failure.code] as ContentfulStatusCode);
    }
  },
});
