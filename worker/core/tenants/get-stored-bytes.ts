import { eq } from 'drizzle-orm';
import { tenantStorage } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';

/** What the tenant's artifacts and the parts of its open uploads take, equal content counted once. */
export const getStoredBytes = async (ctx: Context): Promise<number> => {
  const [row] = await ctx.directory
    .select({ bytes: tenantStorage.bytes })
    .from(tenantStorage)
    .where(eq(tenantStorage.tenantId, ctx.actor.tenant.id))
    .limit(1);
  return row?.bytes ?? 0;
};
