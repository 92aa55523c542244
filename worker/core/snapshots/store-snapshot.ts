import { and, eq, sql } from 'drizzle-orm';
import { snapshots, type Snapshot } from '../../../db/directory.ts';
import { snapshotLimits as wireLimits, type SnapshotPart } from '../../../runner/protocol/snapshots.ts';
import { explainQuota, fitsQuota } from '../artifacts/storage-quota.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { snapshotLimits } from './snapshot-limits.ts';
import { snapshotObjectKey } from './snapshot-object.ts';
import { gone } from './take-snapshot.ts';

/** All of one size but the last, as R2 wants them. */
export const planParts = (sizeBytes: number): { part: number; sizeBytes: number }[] => {
  const partBytes = Math.max(wireLimits.partMinBytes, Math.ceil(sizeBytes / wireLimits.partsCount));
  const count = Math.ceil(sizeBytes / partBytes);
  return Array.from({ length: count }, (_, at) => ({
    part: at + 1,
    sizeBytes: Math.min(partBytes, sizeBytes - at * partBytes),
  }));
};

export const requireSnapshotStore = async (ctx: Context): Promise<void> => {
  await presign(ctx, { method: 'GET', key: 'none', expiresSeconds: 1 });
};

const presign = async (
  ctx: Context,
  request: Parameters<Context['snapshotObjects']['presign']>[0],
): Promise<string> => {
  const url = await ctx.snapshotObjects.presign(request);
  if (url !== undefined) return url;
  throw new ServiceError(
    'not_implemented',
    'This deployment has no S3 credentials for its bucket of snapshots, so nodes have no way to it.',
  );
};

/**
 * From its node to the object store: its bytes are taken from the tenant's storage, then the node gets a URL for each part. Throws
 * quota_exceeded, not_implemented, transfer_failed. The caller gives the snapshot up then.
 */
export const storeSnapshot = async (
  ctx: Context,
  snapshot: Snapshot,
  sizeBytes: number,
  { epoch }: { epoch: number },
): Promise<void> => {
  const key = snapshotObjectKey(snapshot);
  await requireSnapshotStore(ctx);
  await claim(ctx, snapshot, sizeBytes);
  const multipartId = await ctx.snapshotObjects.createMultipart(key);
  if (!(await changeMaking(ctx, snapshot, { multipartId }))) {
    await ctx.snapshotObjects.abortMultipart(key, multipartId);
    throw gone();
  }
  const ref = { tenantId: snapshot.tenantId, sandboxId: snapshot.sandboxId, requestId: ctx.requestId };
  const parts = await Promise.all(planParts(sizeBytes).map((part) => withUrl(ctx, key, multipartId, part)));
  const job = { snapshotId: snapshot.id, parts };
  const uploaded = await ctx.broker.uploadSnapshot(ref, { runnerId: snapshot.runnerId, epoch }, job);
  const stored = await ctx.snapshotObjects.completeMultipart(key, multipartId, uploaded.parts);
  if (stored.sizeBytes !== sizeBytes) throw new Error(`the object ${key} has ${stored.sizeBytes} bytes`);
};

const withUrl = async (
  ctx: Context,
  key: string,
  multipartId: string,
  { part, sizeBytes }: { part: number; sizeBytes: number },
): Promise<SnapshotPart> => {
  const expiresSeconds = snapshotLimits.uploadUrlSeconds;
  const url = await presign(ctx, { method: 'PUT', key, expiresSeconds, part: { multipartId, part, sizeBytes } });
  return { part, url, sizeBytes };
};

const making = ({ id }: Snapshot) => and(eq(snapshots.id, id), eq(snapshots.state, 'making'));

const changeMaking = async (ctx: Context, snapshot: Snapshot, set: Partial<Snapshot>): Promise<boolean> => {
  const rows = await ctx.directory.update(snapshots).set(set).where(making(snapshot)).returning({ id: snapshots.id });
  return rows.length > 0;
};

const claim = async (ctx: Context, snapshot: Snapshot, sizeBytes: number): Promise<void> => {
  const claimed = await ctx.directory
    .update(snapshots)
    .set({ sizeBytes })
    .where(and(making(snapshot), fitsQuota(ctx, sizeBytes)))
    .returning({ id: snapshots.id });
  if (claimed.length === 0) throw await explainQuota(ctx, sizeBytes);
};

/** Its object is whole. One batch: an older one of the same name and tag goes as this one comes. */
export const finishSnapshot = async (ctx: Context, snapshot: Snapshot): Promise<Snapshot> => {
  const { name, tag, tenantId } = snapshot;
  const stillMaking = sql`exists (select 1 from ${snapshots} as new where new.id = ${snapshot.id} and new.state = 'making')`;
  const namesake = and(
    eq(snapshots.tenantId, tenantId),
    name === null ? sql`0` : eq(snapshots.name, name),
    eq(snapshots.tag, tag),
    eq(snapshots.state, 'ready'),
  );
  const replace = ctx.directory
    .update(snapshots)
    .set({ state: 'deleted', sweepAtMs: ctx.now() + snapshotLimits.deletedMs })
    .where(and(namesake, stillMaking));
  const finish = ctx.directory
    .update(snapshots)
    .set({ state: 'ready', multipartId: null, sweepAtMs: null })
    .where(making(snapshot))
    .returning();
  const ready = await ctx.directory.batch([replace, finish]).then(
    ([, [row]]) => row,
    // Perhaps only its answer was lost: what is ready nothing takes back, and whoever asked for it must hear of it.
    async (error: unknown) => (await findReady(ctx, snapshot)) ?? Promise.reject(error),
  );
  if (!ready) throw gone();
  return ready;
};

const findReady = async (ctx: Context, { id }: Snapshot): Promise<Snapshot | undefined> => {
  const ready = and(eq(snapshots.id, id), eq(snapshots.state, 'ready'));
  return (await ctx.directory.select().from(snapshots).where(ready))[0];
};
