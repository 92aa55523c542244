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

/**
 * A list by time (`at`: of creation, unless another column is named) and, within a millisecond, by id: pages that neither repeat nor
 * leave out what stays.
 */
export const keyset = (table: Timed, { order, cursor, limit }: PageOf, at: SQLiteColumn = table.createdAtMs) => {
  const [by, beyond] = order === 'asc' ? [asc, gt] : [desc, lt];
  return {
    /** Undefined on the first page. Throws invalid_argument for a cursor that is none. */
    after: cursor === undefined ? undefined : afterRow(at, table.id, beyond, cursor),
    orderBy: [by(at), by(table.id)],
    /** One more than the page has, to know whether there is another. */
    limit: limit + 1,
  };
};

const afterRow = (at: SQLiteColumn, id: SQLiteColumn, beyond: typeof gt, cursor: string): SQL | undefined => {
  const [lastMs, lastId] = decodeCursor(cursor, ['number', 'string']);
  return or(beyond(at, lastMs), and(eq(at, lastMs), beyond(id, lastId)));
};

interface TimedRow {
  createdAtMs: number;
  id: string;
}

/** How to go on after this row of a list by time of creation. */
export const cursorAfter = ({ createdAtMs, id }: TimedRow): string => encodeCursor([createdAtMs, id]);

/** The page in the rows of a query by keyset(), and how to go on. */
export const pageOf = <T extends TimedRow>(
  rows: readonly T[],
  limit: number,
  atMsOf: (row: T) => number = ({ createdAtMs }) => createdAtMs,
): { page: T[]; nextCursor: string | null } => {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { page, nextCursor: more ? encodeCursor([atMsOf(last), last.id]) : null };
};
