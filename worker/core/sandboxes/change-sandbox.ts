import { and, eq, sql, type SQL } from 'drizzle-orm';
import { sandboxEvents, sandboxes, type Sandbox } from '../../../db/cell.ts';
import type { EventKind } from '../../../db/enums.ts';
import type { AdminContext } from '../ports.ts';
import { newOperationId } from '../ids.ts';

/** What writing needs; Fleet's sweep has no request. */
type Writer = Pick<AdminContext, 'cell' | 'now'>;

export interface SandboxChange {
  sandboxId: string;
  /** The comparison of the compare-and-swap; the row is left alone where it does not hold. */
  when: SQL | undefined;
  set: Partial<Record<Exclude<keyof Sandbox, 'id' | 'tenantId' | 'lastOp'>, unknown>>;
  event?: { kind: EventKind; message: string };
}

/**
 * One batch: the compare-and-swap with a fresh last_op, then the event guarded by it. Answers the row after the change, or undefined
 * where the comparison failed. When D1's answer is lost, last_op tells whether the change was applied.
 */
export const changeSandbox = async (ctx: Writer, change: SandboxChange): Promise<Sandbox | undefined> => {
  const lastOp = newOperationId();
  const update = ctx.cell
    .update(sandboxes)
    .set({ ...change.set, lastOp } as Partial<Sandbox>)
    .where(and(eq(sandboxes.id, change.sandboxId), change.when))
    .returning();
  try {
    if (!change.event) return (await update)[0];
    const event = insertEvent(ctx, change.sandboxId, lastOp, change.event);
    const [rows] = await ctx.cell.batch([update, event]);
    return rows[0];
  } catch (error) {
    const applied = and(eq(sandboxes.id, change.sandboxId), eq(sandboxes.lastOp, lastOp));
    const [row] = await ctx.cell.select().from(sandboxes).where(applied).limit(1);
    if (row) return row;
    throw error;
  }
};

/** Written only if the change that wrote `lastOp` was. */
const insertEvent = (ctx: Writer, sandboxId: string, lastOp: string, event: { kind: EventKind; message: string }) =>
  ctx.cell.insert(sandboxEvents).select(
    sql`select null, ${sandboxId}, ${ctx.now()}, ${event.kind}, ${event.message}
      where exists (select 1 from ${sandboxes} where ${sandboxes.id} = ${sandboxId} and ${sandboxes.lastOp} = ${lastOp})`,
  );
