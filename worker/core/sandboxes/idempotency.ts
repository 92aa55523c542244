import { toHex } from '../hex.ts';
import { and, eq } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

const pollEveryMs = 50;

/** SHA-256 of the request with its keys in order, hex: the same request hashes alike however it was written. */
export const canonicalHash = async (request: object): Promise<string> => {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonicalJson(request)));
  return toHex(new Uint8Array(digest));
};

export const canonicalJson = (value: unknown): string => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
};

export const findByIdempotencyKey = async (ctx: Context, key: string): Promise<Sandbox | undefined> => {
  const own = and(eq(sandboxes.tenantId, ctx.actor.tenant.id), eq(sandboxes.idempotencyKey, key));
  const [row] = await ctx.cell.select().from(sandboxes).where(own).limit(1);
  return row;
};

/** Waits, no longer than a create may take, until the request that came first has its sandbox. A failed one frees its key. */
export const waitForWinner = async (ctx: Context, winner: Sandbox, hash: string): Promise<Sandbox> => {
  if (winner.idempotencyHash !== hash) {
    throw new ServiceError('idempotency_mismatch', 'This Idempotency-Key was used with another body; use a new key.');
  }
  let row: Sandbox | undefined = winner;
  const giveUpAtMs = ctx.now() + limits.lifecycleJobMs;
  while (row?.state === 'creating' && ctx.now() < giveUpAtMs) {
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
    [row] = await ctx.cell.select().from(sandboxes).where(eq(sandboxes.id, winner.id)).limit(1);
  }
  if (row && row.state !== 'creating' && row.endReason !== 'failed') return row;
  throw new ServiceError('unavailable', 'The first request with this Idempotency-Key made no sandbox; try again.', {
    retryAfterSeconds: 1,
  });
};
