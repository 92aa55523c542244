import { sql, type SQL } from 'drizzle-orm';
import { tenantStorage } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** `bytes` more (or fewer) stay within the tenant's limit. Where that was lowered below what there is, it must not become more. */
export const fitsQuota = (ctx: Context, bytes: SQL | number): SQL => {
  const { id, maxStorageBytes } = ctx.actor.tenant;
  const stored = sql`coalesce((select ${tenantStorage.bytes} from ${tenantStorage} where ${tenantStorage.tenantId} = ${id}), 0)`;
  return sql`${stored} + ${bytes} <= max(${maxStorageBytes}, ${stored})`;
};

export const quotaError = (ctx: Context): ServiceError =>
  new ServiceError(
    'quota_exceeded',
    `The tenant's limit is ${ctx.actor.tenant.maxStorageBytes} bytes of storage; delete artifacts or abort uploads first.`,
  );
