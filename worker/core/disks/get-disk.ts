import { and, eq, getTableColumns } from 'drizzle-orm';
import { disks, users, type Disk } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import { isUuidHex } from '../ids.ts';
import type { Context } from '../ports.ts';

/** A disk, and the identifier of the user it belongs to (null: none). */
export interface OwnedDisk extends Disk {
  user: string | null;
}

export const ownedDisk = { ...getTableColumns(disks), user: users.identifier };

/** The one answer to a missing id, another tenant's and a malformed one. */
export const diskNotFound = (diskId: string): ServiceError =>
  new ServiceError('not_found', `There is no disk with the id ${diskId.slice(0, 64)}.`);

/** Throws not_found. */
export const getDisk = async (ctx: Context, diskId: string): Promise<OwnedDisk> => {
  if (!isUuidHex(diskId)) throw diskNotFound(diskId);
  const own = and(eq(disks.id, diskId), eq(disks.tenantId, ctx.actor.tenant.id));
  const [disk] = await ctx.directory
    .select(ownedDisk)
    .from(disks)
    .leftJoin(users, eq(users.id, disks.userId))
    .where(own)
    .limit(1);
  if (!disk) throw diskNotFound(diskId);
  return disk;
};
