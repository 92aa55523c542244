import { disks, type Disk } from '../../../db/directory.ts';
import type { DiskPurpose } from '../../../db/enums.ts';
import { newDiskId } from '../ids.ts';
import type { Context } from '../ports.ts';
import { ensureUser } from '../users/ensure-user.ts';
import type { OwnedDisk } from './get-disk.ts';

export interface CreateDisk {
  name: string;
  metadata: Record<string, unknown>;
  /** The user's identifier; undefined: it belongs to none. */
  user: string | undefined;
  purpose?: DiskPurpose;
}

/** An empty disk. */
export const createDisk = async (ctx: Context, input: CreateDisk): Promise<OwnedDisk> => {
  const user = input.user === undefined ? undefined : await ensureUser(ctx, input.user);
  const nowMs = ctx.now();
  const disk: Disk = {
    id: newDiskId(),
    tenantId: ctx.actor.tenant.id,
    userId: user?.id ?? null,
    purpose: input.purpose ?? 'disk',
    name: input.name,
    metadata: input.metadata,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
  await ctx.directory.insert(disks).values(disk);
  return { ...disk, user: user?.identifier ?? null };
};
