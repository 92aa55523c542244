import { and, eq } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import type { Context } from '../ports.ts';
import { requireSandboxId, sandboxNotFound } from './sandbox-not-found.ts';

/** Throws not_found for a missing id, a malformed one, and another tenant's, all alike. */
export const getSandbox = async (ctx: Context, sandboxId: string): Promise<Sandbox> => {
  const own = and(eq(sandboxes.id, requireSandboxId(sandboxId)), eq(sandboxes.tenantId, ctx.actor.tenant.id));
  const [row] = await ctx.cell.select().from(sandboxes).where(own).limit(1);
  if (!row) throw sandboxNotFound(sandboxId);
  return row;
};
