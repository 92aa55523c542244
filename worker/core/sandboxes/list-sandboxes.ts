import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { and, isNotNull } from 'drizzle-orm';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import type { Context } from '../ports.ts';
import { matching, type SandboxFilter } from './sandbox-filter.ts';

export interface ListSandboxes extends PageOf, SandboxFilter {
  /** By time of creation or of its start; one that has not started is in no list by start. */
  by: 'created' | 'started';
}

/** The tenant's own. A cursor goes on in the list that gave it, by the same time. */
export const listSandboxes = async (
  ctx: Context,
  input: ListSandboxes,
): Promise<{ sandboxes: Sandbox[]; nextCursor: string | null }> => {
  const started = input.by === 'started';
  const at = started ? sandboxes.startedAtMs : sandboxes.createdAtMs;
  const { after, orderBy, limit } = keyset(sandboxes, input, at);
  const rows = await ctx.cell
    .select()
    .from(sandboxes)
    .where(and(matching(ctx, input), started ? isNotNull(at) : undefined, after))
    .orderBy(...orderBy)
    .limit(limit);
  const atMsOf = ({ startedAtMs, createdAtMs }: Sandbox): number => (started ? (startedAtMs ?? 0) : createdAtMs);
  const { page, nextCursor } = pageOf(rows, input.limit, atMsOf);
  return { sandboxes: page, nextCursor };
};
