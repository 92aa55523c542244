import { contextOf } from '../../api/context.ts';
import { ServiceError, type ErrorCode } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';
import type { Handled } from './route.ts';

/** E2B's older clients write <id>-<clientID>; ours have no hyphen. */
export const idOf = (given: string): string => /^([^-]*)-[^-]*$/.exec(given)?.[1] ?? given;

/** What E2B says of any sandbox that the caller has not got: missing, another's, malformed and ended ones alike. */
export const sandboxNotFound = (sandboxId: string): ServiceError =>
  new ServiceError('not_found', `Sandbox "${sandboxId.slice(0, 64)}" doesn't exist or you don't have access to it`);

const gone: readonly ErrorCode[] = ['not_found', 'sandbox_ended'];

type SandboxHandler = (c: Handled, ctx: Context, sandboxId: string) => Promise<Response>;

/** A handler of the path's sandbox. `alsoGone`: what else reads as missing on this route. */
export const ofSandbox =
  (handle: SandboxHandler, alsoGone: readonly ErrorCode[] = []) =>
  async (c: Handled): Promise<Response> => {
    const sandboxId = idOf(c.req.param('sandboxID') ?? '');
    try {
      return await handle(c, contextOf(c), sandboxId);
    } catch (error) {
      const code = error instanceof ServiceError ? error.code : undefined;
      if (code !== undefined && (gone.includes(code) || alsoGone.includes(code))) throw sandboxNotFound(sandboxId);
      throw error;
    }
  };
