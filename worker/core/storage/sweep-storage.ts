import { and, asc, eq, isNotNull, isNull, lte, notExists, or, sql } from 'drizzle-orm';
import { blobs, disks, orphans, skills, uploads } from '../../../db/directory.ts';
import { blobKey } from '../artifacts/blob-key.ts';
import type { ObjectPage } from '../object-store.ts';
import type { Services } from '../ports.ts';
import { endUpload } from '../uploads/end-upload.ts';

type Stores = Pick<Services, 'directory' | 'objects'>;

/** How far the list of the bucket has come: R2's cursor, and the last key before it. Null: it begins anew. */
export interface ListPosition {
  cursor: string;
  afterKey: string;
}

export interface StorageSweep {
  deletedBlobs: number;
  endedUploads: number;
  /** Of skills whose making was broken off. */
  deletedDisks: number;
  listedObjects: number;
  newOrphans: number;
  /** Objects that were orphans and are gone. */
  goneOrphans: number;
  next: ListPosition | null;
}

/** No reader of a condemned blob, and no write that is not on record yet, lasts this long. */
const dayMs = 24 * 3600_000;
/** What the store deletes at once. */
const blobsAtOnce = 1000;
/** With a run a minute: 28 million blobs a day, those of 14 tenants that let go as many as they may. */
const blobBatchesPerRun = 20;
const uploadsPerRun = 50;
const objectsPerRun = 1000;

/**
 * Deletes what was let go a day ago, ends uploads that expired or lost their disk, deletes the disks of unfinished skills, and looks at one page of the bucket for objects that no row
 * knows: those are recorded, and never deleted. Each step is safe beside itself elsewhere and when it is cut; what is left comes with the next run.
 */
export const sweepStorage = async (
  stores: Stores,
  nowMs: number,
  position: ListPosition | null,
): Promise<StorageSweep> => {
  const deletedBlobs = await deleteCondemned(stores, nowMs);
  const endedUploads = await endUploads(stores, nowMs);
  const deletedDisks = position === null ? await deleteUnfinishedSkills(stores, nowMs) : 0;
  const page = await stores.objects.list(position?.cursor, objectsPerRun);
  const { newOrphans, goneOrphans } = await recordOrphans(stores, page, position?.afterKey ?? '', nowMs);
  const last = page.objects.at(-1);
  const next = page.cursor !== undefined && last ? { cursor: page.cursor, afterKey: last.key } : null;
  return {
    deletedBlobs,
    endedUploads,
    deletedDisks,
    listedObjects: page.objects.length,
    newOrphans,
    goneOrphans,
    next,
  };
};

const deleteCondemned = async (stores: Stores, nowMs: number): Promise<number> => {
  let deletedCount = 0;
  for (let count = 0; count < blobBatchesPerRun; count += 1) {
    const { foundCount, goneCount } = await deleteBatch(stores, nowMs);
    deletedCount += goneCount;
    // None gone: whatever the reason, the next batch would be the same one.
    if (foundCount < blobsAtOnce || goneCount === 0) break;
  }
  return deletedCount;
};

/** The bytes first: a row without bytes is nobody's any more, bytes without a row would be an orphan. */
const deleteBatch = async (
  { directory, objects }: Stores,
  nowMs: number,
): Promise<{ foundCount: number; goneCount: number }> => {
  const condemned = and(isNotNull(blobs.condemnedAtMs), eq(blobs.refs, 0));
  const old = await directory
    .select({ id: blobs.id, tenantId: blobs.tenantId })
    .from(blobs)
    .where(and(condemned, lte(blobs.condemnedAtMs, nowMs - dayMs)))
    .orderBy(asc(blobs.condemnedAtMs))
    .limit(blobsAtOnce);
  if (old.length === 0) return { foundCount: 0, goneCount: 0 };
  await objects.delete(old.map(({ tenantId, id }) => blobKey(tenantId, id)));
  const gone = await directory
    .delete(blobs)
    .where(
      and(condemned, sql`${blobs.id} in (select value from json_each(${JSON.stringify(old.map(({ id }) => id))}))`),
    )
    .returning({ id: blobs.id });
  return { foundCount: old.length, goneCount: gone.length };
};

const endUploads = async (stores: Stores, nowMs: number): Promise<number> => {
  const { directory } = stores;
  const expired = lte(uploads.expiresAtMs, nowMs);
  // The rows of completed ones; their bytes are blobs.
  await directory.delete(uploads).where(and(isNotNull(uploads.artifactId), expired));
  const withoutDisk = notExists(directory.select({ id: disks.id }).from(disks).where(eq(disks.id, uploads.diskId)));
  const over = await directory
    .select()
    .from(uploads)
    .where(and(isNull(uploads.artifactId), or(expired, withoutDisk)))
    .limit(uploadsPerRun);
  let ended = 0;
  for (const upload of over) if (await endUpload(stores, upload)) ended += 1;
  return ended;
};

/** A skill's disk is made before the skill. A search of all disks, so it comes once in each round through the bucket. */
const deleteUnfinishedSkills = async ({ directory }: Stores, nowMs: number): Promise<number> => {
  const withoutSkill = notExists(directory.select({ id: skills.id }).from(skills).where(eq(skills.diskId, disks.id)));
  const deleted = await directory
    .delete(disks)
    .where(and(eq(disks.purpose, 'skill'), lte(disks.createdAtMs, nowMs - dayMs), withoutSkill))
    .returning({ id: disks.id });
  return deleted.length;
};

/** `afterKey`: the last key of the page before. The bucket lists its keys in order, so what lay between and is not in the page is gone. */
const recordOrphans = async (
  { directory }: Stores,
  page: ObjectPage,
  afterKey: string,
  nowMs: number,
): Promise<{ newOrphans: number; goneOrphans: number }> => {
  const old = page.objects.filter(({ uploadedAtMs }) => uploadedAtMs <= nowMs - dayMs);
  const listed = sql`json_each(${JSON.stringify(old)}) as listed`;
  const id = sql`substr(listed.value ->> 'key', -32)`;
  const known = sql`exists (select 1 from ${blobs} as known where known.id = ${id} and listed.value ->> 'key' = 'blobs/' || known.tenant_id || '/' || known.id)
    or exists (select 1 from ${uploads} as open where open.blob_id = ${id} and listed.value ->> 'key' = 'blobs/' || open.tenant_id || '/' || open.blob_id)`;
  const unknown = sql`(select listed.value ->> 'key' from ${listed} where not (${known}))`;
  const found = await directory
    .insert(orphans)
    .select(
      sql`select listed.value ->> 'key', listed.value ->> 'sizeBytes', listed.value ->> 'uploadedAtMs', ${nowMs} from ${listed}
        where not (${known})`,
    )
    .onConflictDoNothing()
    .returning({ key: orphans.key });
  const last = page.objects.at(-1);
  const upTo = page.cursor === undefined ? sql`1` : sql`${orphans.key} <= ${last?.key ?? ''}`;
  const gone = await directory
    .delete(orphans)
    .where(sql`${orphans.key} > ${afterKey} and ${upTo} and ${orphans.key} not in ${unknown}`)
    .returning({ key: orphans.key });
  return { newOrphans: found.length, goneOrphans: gone.length };
};
