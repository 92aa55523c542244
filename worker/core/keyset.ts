import { and, asc, desc, eq, gt, lt, or, type SQL } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { decodeCursor, encodeCursor } from './cursor.ts';

export type Order = 'asc' | 'desc';

export interface PageOf {
  order: Order;
  /** nextCursor of the page before; it goes on from its row in either order. */
  cursor: string | undefined;
  limit: number;
}

/** What every table that is listed by time has. */
interface Timed {
  createdAtMs: SQLiteColumn;
  id: SQLiteColumn;
}

/** A list by time of creation and, within a millisecond, by id: pages that neither repeat nor leave out what stays. */
export const keyset = (table: Timed, { order, cursor, limit }: PageOf) => {
  const [by, beyond] = order === 'asc' ? [asc, gt] : [desc, lt];
  return {
    /** Undefined on the first page. Throws invalid_argument for a cursor that is none. */
    after: cursor === undefined ? undefined : afterRow(table, beyond, cursor),
    orderBy: [by(table.createdAtMs), by(table.id)],
    /** One more than the page has, to know whether there is another. */
    limit: limit + 1,
  };
};

const afterRow = ({ createdAtMs, id }: Timed, beyond: typeof gt, cursor: string): SQL | undefined => {
  const [lastMs, lastId] = decodeCursor(cursor, ['number', 'string']);
  return or(beyond(createdAtMs, lastMs), and(eq(createdAtMs, lastMs), beyond(id, lastId)));
};

/** How to go on after this row. */
export const cursorAfter = ({ createdAtMs, id }: { createdAtMs: number; id: string }): string =>
  encodeCursor([createdAtMs, id]);

/** The page in the rows of a query by keyset(), and how to go on. */
export const pageOf = <T extends { createdAtMs: number; id: string }>(
  rows: readonly T[],
  limit: number,
): { page: T[]; nextCursor: string | null } => {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { page, nextCursor: more ? cursorAfter(last) : null };
};
