import { and, asc, desc, eq, gt, lt, or, sql, type SQL } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Context } from '../ports.ts';
import { inRecords } from './in-records.ts';
import { publicStates, recordsOf, type PublicState } from '../sandbox-state.ts';

export interface ListSandboxes {
  /** Empty: all that have not ended. */
  states: readonly PublicState[];
  /** Pairs that must all be there. */
  metadata: readonly (readonly [string, string])[];
  /** By time of creation. */
  order: 'asc' | 'desc';
  cursor: string | undefined;
  limit: number;
}

const live = publicStates.filter((state) => state !== 'ended');

const sorted = {
  asc: { by: asc, beyond: gt },
  desc: { by: desc, beyond: lt },
} as const;

export const cursorOf = (sandbox: Sandbox): string => encodeCursor([sandbox.createdAtMs, sandbox.id]);

/** The tenant's own. A cursor goes on from its sandbox in either order. */
export const listSandboxes = async (
  ctx: Context,
  input: ListSandboxes,
): Promise<{ sandboxes: Sandbox[]; nextCursor: string | null }> => {
  const wanted = input.states.length === 0 ? live : input.states;
  const { by } = sorted[input.order];
  const rows = await ctx.cell
    .select()
    .from(sandboxes)
    .where(
      and(
        eq(sandboxes.tenantId, ctx.actor.tenant.id),
        inRecords(wanted.flatMap(recordsOf)),
        ...input.metadata.map(([key, value]) => hasPair(key, value)),
        input.cursor === undefined ? undefined : after(input.cursor, input.order),
      ),
    )
    .orderBy(by(sandboxes.createdAtMs), by(sandboxes.id))
    .limit(input.limit + 1);
  const page = rows.slice(0, input.limit);
  const last = page.at(-1);
  const more = rows.length > input.limit && last !== undefined;
  return { sandboxes: page, nextCursor: more ? cursorOf(last) : null };
};

const hasPair = (key: string, value: string): SQL =>
  sql`exists (select 1 from json_each(${sandboxes.metadata}) as pair where pair.key = ${key} and pair.value = ${value})`;

const after = (cursor: string, order: ListSandboxes['order']): SQL | undefined => {
  const { beyond } = sorted[order];
  const [createdAtMs, id] = decodeCursor(cursor, ['number', 'string']);
  const sameTime = and(eq(sandboxes.createdAtMs, createdAtMs), beyond(sandboxes.id, id));
  return or(beyond(sandboxes.createdAtMs, createdAtMs), sameTime);
};
