import type { z } from '@hono/zod-openapi';
import { ServiceError } from '../../../../core/errors.ts';
import type { Call } from '../connect/call.ts';
import { ConnectError } from '../connect/failure.ts';
import { unary } from '../connect/unary.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { rpcUser, unknownUser } from '../user.ts';

/** E2B's service is the sandbox's root: it may do anything, and gives what it makes to the user. */
export const callerOf = (c: Handled) => ({ user: rpcUser(c), privileged: true, resolveLinks: true });

/** What the service says in words or codes of its own. */
export const inItsWords = (error: unknown, c: Handled): unknown => {
  if (!(error instanceof ServiceError)) return error;
  if (error.code === 'user_not_found') return new ConnectError('unauthenticated', unknownUser(rpcUser(c)));
  return error;
};

/** A unary route of the filesystem service. */
export const fileCall = <S extends z.ZodType>(
  method: string,
  schema: S,
  handle: (call: Call, message: z.output<S>) => Promise<object>,
): EnvdRoute =>
  unary(`/filesystem.Filesystem/${method}`, schema, async (call, message) => {
    try {
      return await handle(call, message);
    } catch (error) {
      throw inItsWords(error, call.c);
    }
  });
