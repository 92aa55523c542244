import { sql, type SQL } from 'drizzle-orm';
import { artifacts, type Artifact } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** So many artifacts fit into an answer whatever metadata they have: 4 MiB of it. */
const alwaysFitCount = 250;

/** Of the rows of an answer. They are held as rows, as what is answered, and as its text: some times that, of an isolate's 128 MB. */
const rowsMaxBytes = 8 * 1024 * 1024;
/** Of a row, besides its path (which is told twice) and its metadata. */
const rowBytes = 256;

/** How many of the first `limit` artifacts, by path and name, fit into an answer; at least one. */
export const countThatFit = async (ctx: Context, where: SQL | undefined, limit: number): Promise<number> => {
  if (limit <= alwaysFitCount) return limit;
  const bytes = sql`${rowBytes} + 2 * octet_length(${artifacts.path} || ${artifacts.name}) + octet_length(${artifacts.metadata})`;
  const order = sql`${artifacts.path}, ${artifacts.name}`;
  const [row] = await ctx.directory.all<{ fit: number; seen: number }>(sql`
    select count(*) filter (where bytes <= ${rowsMaxBytes}) as fit, count(*) as seen from (
      select sum(${bytes}) over (order by ${order} rows unbounded preceding) as bytes
        from ${artifacts} where ${where} order by ${order} limit ${limit})`);
  return row && row.fit < row.seen ? Math.max(row.fit, 1) : limit;
};

/** Throws payload_too_large for rows that are more than an answer holds. */
export const requireThatFit = (rows: readonly Artifact[]): void => {
  if (rows.length <= alwaysFitCount) return;
  let bytes = 0;
  for (const { path, name, metadata } of rows) {
    bytes += rowBytes + 2 * (path.length + name.length) + JSON.stringify(metadata).length;
  }
  if (bytes <= rowsMaxBytes) return;
  throw new ServiceError(
    'payload_too_large',
    `The metadata of ${rows.length} artifacts is more than an answer holds; ask for fewer at once.`,
  );
};
