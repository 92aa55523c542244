import { and, eq, getTableColumns } from 'drizzle-orm';
import { skills, users, type Artifact, type Skill } from '../../../db/directory.ts';
import { parseArtifactPath } from '../artifacts/artifact-path.ts';
import { findArtifact } from '../artifacts/get-artifact.ts';
import { ServiceError } from '../errors.ts';
import { isUuidHex } from '../ids.ts';
import type { Context } from '../ports.ts';
import { findBelow } from '../transfers/copy-directory-to-sandbox.ts';

/** A skill, and the identifier of the user it belongs to (null: none). */
export interface OwnedSkill extends Skill {
  user: string | null;
}

export interface SkillFile {
  /** Relative. */
  path: string;
  contentType: string;
  sizeBytes: number;
}

export const ownedSkill = { ...getTableColumns(skills), user: users.identifier };

/** The one answer to a missing id, another tenant's and a malformed one. */
export const skillNotFound = (skillId: string): ServiceError =>
  new ServiceError('not_found', `There is no skill with the id ${skillId.slice(0, 64)}.`);

/** Throws not_found. */
export const getSkill = async (ctx: Context, skillId: string): Promise<OwnedSkill> => {
  if (!isUuidHex(skillId)) throw skillNotFound(skillId);
  const own = and(eq(skills.id, skillId), eq(skills.tenantId, ctx.actor.tenant.id));
  const [skill] = await ctx.directory
    .select(ownedSkill)
    .from(skills)
    .leftJoin(users, eq(users.id, skills.userId))
    .where(own)
    .limit(1);
  if (!skill) throw skillNotFound(skillId);
  return skill;
};

/** Shown of a skill: a zip brings fewer, but its files are artifacts of its disk, where more can be added. */
const filesCountMax = 1_000;

/** A skill's files, by path. */
export const listSkillFiles = async (ctx: Context, { diskId }: Pick<Skill, 'diskId'>): Promise<SkillFile[]> => {
  const found = await findBelow(ctx, diskId, '/', filesCountMax);
  return found.map(({ path, name, contentType, sizeBytes }) => ({
    path: `${path}${name}`.slice(1),
    contentType,
    sizeBytes,
  }));
};

/** `path` is relative, as in the skill's list of files. Throws not_found. */
export const getSkillFile = async (ctx: Context, skillId: string, path: string): Promise<Artifact> => {
  const { diskId } = await getSkill(ctx, skillId);
  const file = await findArtifact(ctx, diskId, parseArtifactPath(path.startsWith('/') ? path : `/${path}`));
  if (!file) throw new ServiceError('not_found', `The skill has no file ${path.slice(0, 1024)}.`);
  return file;
};
