import { and, desc, eq, lt, or } from 'drizzle-orm';
import { apiKeys, type ApiKey } from '../../../db/directory.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Context } from '../ports.ts';

/** Newest first, revoked and expired ones among them. */
export const listKeys = async (
  ctx: Context,
  page: { cursor: string | undefined; limit: number },
): Promise<{ keys: ApiKey[]; nextCursor: string | null }> => {
  const own = eq(apiKeys.tenantId, ctx.actor.tenant.id);
  const rows = await ctx.directory
    .select()
    .from(apiKeys)
    .where(and(own, page.cursor === undefined ? undefined : after(page.cursor)))
    .orderBy(desc(apiKeys.createdAtMs), desc(apiKeys.id))
    .limit(page.limit + 1);
  const keys = rows.slice(0, page.limit);
  const last = keys.at(-1);
  const more = rows.length > page.limit && last !== undefined;
  return { keys, nextCursor: more ? encodeCursor([last.createdAtMs, last.id]) : null };
};

const after = (cursor: string) => {
  const [createdAtMs, id] = decodeCursor(cursor, ['number', 'string']);
  return or(lt(apiKeys.createdAtMs, createdAtMs), and(eq(apiKeys.createdAtMs, createdAtMs), lt(apiKeys.id, id)));
};
