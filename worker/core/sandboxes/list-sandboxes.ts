import { and, eq, sql, type SQL } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { inRecords } from './in-records.ts';
import { publicStates, recordsOf, type PublicState } from '../sandbox-state.ts';

export interface ListSandboxes extends PageOf {
  /** Empty: all that have not ended. */
  states: readonly PublicState[];
  /** Pairs that must all be there. */
  metadata: readonly (readonly [string, string])[];
}

const live = publicStates.filter((state) => state !== 'ended');

/** The tenant's own, by time of creation. */
export const listSandboxes = async (
  ctx: Context,
  input: ListSandboxes,
): Promise<{ sandboxes: Sandbox[]; nextCursor: string | null }> => {
  const wanted = input.states.length === 0 ? live : input.states;
  const { after, orderBy, limit } = keyset(sandboxes, input);
  const rows = await ctx.cell
    .select()
    .from(sandboxes)
    .where(
      and(
        eq(sandboxes.tenantId, ctx.actor.tenant.id),
        inRecords(wanted.flatMap(recordsOf)),
        ...input.metadata.map(([key, value]) => hasPair(key, value)),
        after,
      ),
    )
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { sandboxes: page, nextCursor };
};

const hasPair = (key: string, value: string): SQL =>
  sql`exists (select 1 from json_each(${sandboxes.metadata}) as pair where pair.key = ${key} and pair.value = ${value})`;
