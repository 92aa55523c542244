import type { Context, SandboxRef } from '../ports.ts';
import { requireSandboxId } from './sandbox-not-found.ts';

/** Addresses a sandbox on the hot path: no database. A malformed id is answered as a missing one. */
export const sandboxRefOf = (ctx: Context, sandboxId: string): SandboxRef => ({
  tenantId: ctx.actor.tenant.id,
  sandboxId: requireSandboxId(sandboxId),
  requestId: ctx.requestId,
});
