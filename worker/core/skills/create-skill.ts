import { skills, type Skill } from '../../../db/directory.ts';
import { parseArtifactPath } from '../artifacts/artifact-path.ts';
import { commitArtifacts, type ArtifactWrite } from '../artifacts/commit-artifacts.ts';
import { stageBytes, unstage, type StagedBlob } from '../artifacts/stage-bytes.ts';
import { FileStager } from '../artifacts/stage-files.ts';
import { createDisk } from '../disks/create-disk.ts';
import { deleteDisk } from '../disks/delete-disk.ts';
import type { OwnedDisk } from '../disks/get-disk.ts';
import type { ByteInput } from '../formats/byte-source.ts';
import { newSkillId } from '../ids.ts';
import type { Context } from '../ports.ts';
import type { OwnedSkill } from './get-skill.ts';
import { skillLimits } from './limits.ts';
import { readSkill, type PackedSkill } from './read-skill.ts';

interface Owner {
  /** The user's identifier; undefined: it belongs to none. */
  user: string | undefined;
  metadata: Record<string, unknown> | null;
}

export interface CreateSkill extends Owner {
  /** As stageSkillZip gave it. It is deleted, whatever happens. */
  zip: StagedBlob;
}

/** A zip is read from its end, so it is stored first. Throws payload_too_large, and what stageBytes throws. */
export const stageSkillZip = (ctx: Context, content: ByteInput, contentBytes: number | null): Promise<StagedBlob> =>
  stageBytes(ctx, content, contentBytes, skillLimits.zipBytes);

/**
 * A skill from a zip with a SKILL.md, whose front matter has its name and description. Its files become artifacts on a disk of its own.
 * Throws invalid_argument for a zip that is damaged or no skill, payload_too_large past skillLimits, quota_exceeded; nothing is left then.
 */
export const createSkill = async (ctx: Context, { zip, user, metadata }: CreateSkill): Promise<OwnedSkill> => {
  try {
    const packed = await readSkill(ctx, zip);
    return await store(ctx, packed, { user, metadata });
  } finally {
    unstage(ctx, [zip.blobId]);
  }
};

const store = async (ctx: Context, packed: PackedSkill, owner: Owner): Promise<OwnedSkill> => {
  const stager = new FileStager(ctx);
  let writes: readonly ArtifactWrite[];
  let disk: OwnedDisk;
  try {
    for (const { path, body, sizeBytes } of packed.files) {
      await stager.add(parseArtifactPath(`/${path}`), body(), sizeBytes);
    }
    writes = await stager.staged();
    disk = await createDisk(ctx, { name: packed.name, metadata: {}, user: owner.user, purpose: 'skill' });
  } catch (error) {
    await stager.discard();
    throw error;
  }
  try {
    await commitArtifacts(ctx, disk.id, writes);
    return await insertSkill(ctx, packed, disk, owner);
  } catch (error) {
    ctx.after(deleteDisk(ctx, disk.id, 'skill'));
    throw error;
  }
};

/** Last: it makes a skill of what lies on the disk. */
const insertSkill = async (
  ctx: Context,
  { name, description }: PackedSkill,
  { id: diskId, tenantId, userId, createdAtMs, user }: OwnedDisk,
  { metadata }: Owner,
): Promise<OwnedSkill> => {
  const row: Skill = {
    id: newSkillId(),
    tenantId,
    userId,
    diskId,
    name,
    description,
    metadata,
    createdAtMs,
    updatedAtMs: createdAtMs,
  };
  await ctx.directory.insert(skills).values(row);
  return { ...row, user };
};
