import { count } from 'drizzle-orm';
import { sandboxes } from '../../../db/cell.ts';
import type { Context } from '../ports.ts';
import { matching, type SandboxFilter } from './sandbox-filter.ts';

/** How many of the tenant's sandboxes match, on whatever page they would be. */
export const countSandboxes = async (ctx: Context, filter: SandboxFilter): Promise<number> => {
  const [row] = await ctx.cell.select({ count: count() }).from(sandboxes).where(matching(ctx, filter));
  return row?.count ?? 0;
};
