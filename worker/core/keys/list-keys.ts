import { and, eq } from 'drizzle-orm';
import { apiKeys, type ApiKey } from '../../../db/directory.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';

/** Newest first, revoked and expired ones among them. */
export const listKeys = async (
  ctx: Context,
  input: Omit<PageOf, 'order'>,
): Promise<{ keys: ApiKey[]; nextCursor: string | null }> => {
  const { after, orderBy, limit } = keyset(apiKeys, { ...input, order: 'desc' });
  const rows = await ctx.directory
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.tenantId, ctx.actor.tenant.id), after))
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { keys: page, nextCursor };
};
