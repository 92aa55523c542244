import { and, eq, sql } from 'drizzle-orm';
import { disks } from '../../../db/directory.ts';
import type { DiskPurpose } from '../../../db/enums.ts';
import type { Context } from '../ports.ts';
import { emptyDisks } from './empty-disks.ts';
import { diskNotFound, getDisk } from './get-disk.ts';

/**
 * The disk and all that lies on it; triggers let go of the blobs. Uploads to it that are open are left to the sweep. Throws not_found,
 * also for a disk of another purpose: a skill's goes with the skill.
 */
export const deleteDisk = async (ctx: Context, diskId: string, purpose: DiskPurpose = 'disk'): Promise<void> => {
  const disk = await getDisk(ctx, diskId);
  if (disk.purpose !== purpose) throw diskNotFound(diskId);
  await emptyDisks(ctx, sql`select ${diskId}`);
  const own = and(eq(disks.id, diskId), eq(disks.tenantId, ctx.actor.tenant.id));
  const [deleted] = await ctx.directory.delete(disks).where(own).returning({ id: disks.id });
  if (!deleted) throw diskNotFound(diskId);
};
