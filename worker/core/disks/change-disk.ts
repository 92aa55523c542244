import { and, eq } from 'drizzle-orm';
import { disks } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { diskNotFound, getDisk, type OwnedDisk } from './get-disk.ts';

export interface ChangeDisk {
  /** Undefined: as it is. */
  name: string | undefined;
  /** The new metadata, whole. Undefined: as it is. */
  metadata: Record<string, unknown> | undefined;
}

/** Throws not_found. */
export const changeDisk = async (ctx: Context, diskId: string, { name, metadata }: ChangeDisk): Promise<OwnedDisk> => {
  const { user } = await getDisk(ctx, diskId);
  const [disk] = await ctx.directory
    .update(disks)
    .set({
      updatedAtMs: ctx.now(),
      ...(name === undefined ? {} : { name }),
      ...(metadata === undefined ? {} : { metadata }),
    })
    .where(and(eq(disks.id, diskId), eq(disks.tenantId, ctx.actor.tenant.id)))
    .returning();
  if (!disk) throw diskNotFound(diskId);
  return { ...disk, user };
};
