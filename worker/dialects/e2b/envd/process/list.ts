import { z } from '@hono/zod-openapi';
import { unary } from '../connect/unary.ts';

export const listRoute = unary('/process.Process/List', z.object({}), async ({ ctx, ref }) => {
  const processes = await ctx.broker.processes(ref);
  return {
    processes: processes
      .filter((process) => process.exit === null)
      .map(({ pid, tag, command, cwd }) => ({
        pid,
        ...(tag === undefined ? {} : { tag }),
        config: { cmd: command, args: [], envs: {}, cwd },
      })),
  };
});
