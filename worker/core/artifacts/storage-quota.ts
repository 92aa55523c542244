import { eq, sql, type SQL } from 'drizzle-orm';
import { tenantStorage } from '../../../db/directory.ts';
import { databaseSays } from '../database-says.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** What was let go takes storage until the sweep, a day later: with what lives at most twice the tenant's limit, or this if it is more. */
const keptMinBytes = 1024 ** 3;
/** So many contents that were let go; the sweep must be able to keep up. */
const condemnedMaxCount = 1_000_000;

/**
 * `addedBytes` more, and `freedBytes` let go, stay within the tenant's limit; where that was lowered below what there is, it must not become
 * more. What was let go and is not deleted yet stays within bounds too. Of what only deletes nobody asks.
 */
export const fitsQuota = (ctx: Context, addedBytes: SQL | number, freedBytes: SQL | number = 0): SQL => {
  const { id, maxStorageBytes } = ctx.actor.tenant;
  const sumOf = (column: SQL.Aliased | SQL): SQL =>
    sql`coalesce((select ${column} from ${tenantStorage} where ${tenantStorage.tenantId} = ${id}), 0)`;
  const stored = sumOf(sql`${tenantStorage.bytes}`);
  const kept = sumOf(sql`${tenantStorage.bytes} + ${tenantStorage.condemnedBytes}`);
  const condemnedCount = sumOf(sql`${tenantStorage.condemnedCount}`);
  // The freed bytes only change hands: they lie in R2 as before.
  return sql`${stored} + ${addedBytes} - ${freedBytes} <= max(${maxStorageBytes}, ${stored})
    and ${kept} + ${addedBytes} <= max(${keptMinBytes}, 2 * ${maxStorageBytes}, 2 * ${stored})
    and ${condemnedCount} < ${condemnedMaxCount}`;
};

export const quotaError = (ctx: Context): ServiceError =>
  new ServiceError(
    'quota_exceeded',
    `The tenant's limit is ${ctx.actor.tenant.maxStorageBytes} bytes of storage; delete artifacts or abort uploads first.`,
  );

/** Says which of the bounds of fitsQuota `addedBytes` did not fit; it may be more than was added, where content was there already. */
export const explainQuota = async (ctx: Context, addedBytes: number): Promise<ServiceError> => {
  const { id, maxStorageBytes } = ctx.actor.tenant;
  const [row] = await ctx.directory.select().from(tenantStorage).where(eq(tenantStorage.tenantId, id)).limit(1);
  if (!row) return quotaError(ctx);
  const { bytes, condemnedBytes, condemnedCount } = row;
  const keptMaxBytes = Math.max(keptMinBytes, 2 * maxStorageBytes, 2 * bytes);
  const fitsAlone = bytes + addedBytes <= keptMaxBytes;
  const isKept =
    condemnedCount >= condemnedMaxCount || (fitsAlone && bytes + condemnedBytes + addedBytes > keptMaxBytes);
  if (!isKept) return quotaError(ctx);
  return new ServiceError(
    'quota_exceeded',
    `What was overwritten or deleted counts for a day: ${condemnedBytes} bytes in ${condemnedCount} contents now. These may be ` +
      `${condemnedMaxCount}, and ${keptMaxBytes} bytes with what is stored; try again when some are gone.`,
  );
};

/** What the triggers' refusal of more records means to the caller; undefined for any other error. */
export const recordsExceeded = (error: unknown): ServiceError | undefined =>
  databaseSays(error, 'records_exceeded')
    ? new ServiceError(
        'quota_exceeded',
        "The tenant's artifacts, disks, users, skills and uploads have 512 MiB for their names and metadata, 512 bytes or more each; delete some first.",
        { cause: error },
      )
    : undefined;
