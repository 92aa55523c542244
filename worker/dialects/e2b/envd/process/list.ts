import { z } from '@hono/zod-openapi';
import { unary } from '../connect/unary.ts';

/** Long arguments and environments are cut. */
export const listRoute = unary('/process.Process/List', z.object({}), async ({ ctx, ref }) => {
  const processes = await ctx.broker.processDetails(ref);
  return {
    processes: processes.map(({ pid, tag, cwd, command, started }) => {
      const [cmd = command, ...args] = started?.argv ?? [];
      return { config: { cmd, args, envs: started?.env ?? {}, cwd }, pid, ...(tag === undefined ? {} : { tag }) };
    }),
  };
});
