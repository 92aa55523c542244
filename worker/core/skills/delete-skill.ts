import { deleteDisk } from '../disks/delete-disk.ts';
import type { Context } from '../ports.ts';
import { getSkill } from './get-skill.ts';

/** With its disk, which is where it lies: the row goes with that. Sandboxes keep what was mounted. Throws not_found. */
export const deleteSkill = async (ctx: Context, skillId: string): Promise<void> => {
  const { diskId } = await getSkill(ctx, skillId);
  await deleteDisk(ctx, diskId, 'skill');
};
