import type { z } from '@hono/zod-openapi';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { toServiceError } from '../../../../api/render-error.ts';
import { isGone, renderEnvdFailure } from '../error.ts';
import type { EnvdRoute } from '../route.ts';
import { callOf, inTime, type Call } from './call.ts';
import { connectStatus } from './codes.ts';
import { ConnectError, connectFailure } from './failure.ts';
import { messageOf, readBody, refuseCompression } from './message.ts';

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
    if (!/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
      return c.body(null, 415, { 'accept-post': 'application/json' });
    }
    try {
      const call = callOf(c);
      refuseCompression(c.req.raw);
      const message = messageOf(schema, await readBody(c.req.raw));
      return c.json(await inTime(call.timeoutMs, handle(call, message)));
    } catch (error) {
      if (!(error instanceof ConnectError) && isGone(toServiceError(error))) return renderEnvdFailure(error, c);
      const failure = connectFailure(error, c);
      return c.json(failure, connectStatus[failure.code] as ContentfulStatusCode);
    }
  },
});
