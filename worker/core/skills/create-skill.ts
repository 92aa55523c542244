import { skills, type Skill } from '../../../db/directory.ts';
import { parseArtifactPath } from '../artifacts/artifact-path.ts';
import { commitArtifacts, type ArtifactWrite } from '../artifacts/commit-artifacts.ts';
import { sniffContentType } from '../artifacts/content-type.ts';
import { stageBytes, unstage, type StagedBlob } from '../artifacts/stage-bytes.ts';
import { createDisk } from '../disks/create-disk.ts';
import { deleteDisk } from '../disks/delete-disk.ts';
import type { ByteInput } from '../formats/byte-source.ts';
import { newSkillId } from '../ids.ts';
import type { Context } from '../ports.ts';
import type { OwnedSkill } from './get-skill.ts';
import { skillLimits } from './limits.ts';
import { readSkill, type PackedSkill } from './read-skill.ts';

export interface CreateSkill {
  /** As stageSkillZip gave it. It is deleted, whatever happens. */
  zip: StagedBlob;
  /** The user's identifier; undefined: it belongs to none. */
  user: string | undefined;
  metadata: Record<string, unknown> | null;
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
    const writes = await stageFiles(ctx, packed);
    return await store(ctx, packed, writes, { user, metadata });
  } finally {
    unstage(ctx, [zip.blobId]);
  }
};

const stageFiles = async (ctx: Context, { files }: PackedSkill): Promise<ArtifactWrite[]> => {
  const writes: ArtifactWrite[] = [];
  try {
    for (const { path, sizeBytes, body } of files) {
      const place = parseArtifactPath(`/${path}`);
      const blob = await stageBytes(ctx, body(), sizeBytes);
      writes.push({ ...place, blob, contentType: sniffContentType(blob.head, place.name) });
    }
    return writes;
  } catch (error) {
    unstage(ctx, blobIdsOf(writes));
    throw error;
  }
};

const blobIdsOf = (writes: readonly ArtifactWrite[]): string[] => writes.map(({ blob }) => blob.blobId);

/** The disk, its artifacts and last the row that makes all of it a skill. */
const store = async (
  ctx: Context,
  { name, description }: PackedSkill,
  writes: readonly ArtifactWrite[],
  { user, metadata }: Pick<CreateSkill, 'user' | 'metadata'>,
): Promise<OwnedSkill> => {
  let disk;
  try {
    disk = await createDisk(ctx, { name, metadata: {}, user, purpose: 'skill' });
  } catch (error) {
    unstage(ctx, blobIdsOf(writes));
    throw error;
  }
  const { id: diskId, tenantId, userId, createdAtMs } = disk;
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
  try {
    await commitArtifacts(ctx, diskId, writes);
    await ctx.directory.insert(skills).values(row);
    return { ...row, user: disk.user };
  } catch (error) {
    ctx.after(deleteDisk(ctx, diskId, 'skill'));
    throw error;
  }
};
