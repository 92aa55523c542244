import { and, eq, gte, inArray, sql, type SQL } from 'drizzle-orm';
import { sandboxes } from '../../../db/cell.ts';
import type { Context } from '../ports.ts';
import { publicStates, recordsOf, type PublicState } from '../sandbox-state.ts';
import { inRecords } from './in-records.ts';

/** Which of the tenant's sandboxes are meant; all of it must hold. */
export interface SandboxFilter {
  /** Empty: all that have not ended. */
  states: readonly PublicState[];
  /** Pairs that must all be there. */
  metadata: readonly (readonly [string, string])[];
  template?: string | undefined;
  /** Started then or later. */
  startedAfterMs?: number | undefined;
}

const live = publicStates.filter((state) => state !== 'ended');

export const matching = (ctx: Context, { states, metadata, template, startedAfterMs }: SandboxFilter) => {
  const records = (states.length === 0 ? live : states).flatMap(recordsOf);
  return and(
    eq(sandboxes.tenantId, ctx.actor.tenant.id),
    // Says nothing that inRecords does not, but an index can use it.
    inArray(sandboxes.state, [...new Set(records.map(({ state }) => state))]),
    inRecords(records),
    template === undefined ? undefined : eq(sandboxes.template, template),
    startedAfterMs === undefined ? undefined : gte(sandboxes.startedAtMs, startedAfterMs),
    ...metadata.map(([key, value]) => hasPair(key, value)),
  );
};

const hasPair = (key: string, value: string): SQL =>
  sql`exists (select 1 from json_each(${sandboxes.metadata}) as pair where pair.key = ${key} and pair.value = ${value})`;
