import { inArray, sql, type SQL } from 'drizzle-orm';
import { sandboxes } from '../../../db/cell.ts';
import type { StateOfRecord } from '../sandbox-state.ts';

/** A condition on the row: its state and open job are one of these pairs. */
export const inRecords = (records: readonly StateOfRecord[]): SQL =>
  inArray(
    sql`${sandboxes.state} || ':' || coalesce(${sandboxes.openJob}, '')`,
    records.map(({ state, openJob }) => `${state}:${openJob ?? ''}`),
  );
