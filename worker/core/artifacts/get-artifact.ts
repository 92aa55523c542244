import { and, eq } from 'drizzle-orm';
import { artifacts, disks, type Artifact } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

export interface ArtifactPlace {
  /** '/dir/' */
  path: string;
  name: string;
}

/** Undefined also when there is no such disk. */
export const findArtifact = async (
  ctx: Context,
  diskId: string,
  { path, name }: ArtifactPlace,
): Promise<Artifact | undefined> => {
  const [row] = await ctx.directory
    .select({ artifact: artifacts })
    .from(artifacts)
    .innerJoin(disks, eq(disks.id, artifacts.diskId))
    .where(
      and(
        eq(artifacts.diskId, diskId),
        eq(artifacts.path, path),
        eq(artifacts.name, name),
        eq(disks.tenantId, ctx.actor.tenant.id),
      ),
    )
    .limit(1);
  return row?.artifact;
};

/** Throws not_found: for the disk (missing, foreign or malformed: one answer), or for the artifact. */
export const getArtifact = async (ctx: Context, diskId: string, place: ArtifactPlace): Promise<Artifact> => {
  const found = await findArtifact(ctx, diskId, place);
  if (found) return found;
  await getDisk(ctx, diskId);
  throw artifactNotFound(place);
};

export const artifactNotFound = ({ path, name }: ArtifactPlace): ServiceError =>
  new ServiceError('not_found', `There is no artifact ${`${path}${name}`.slice(0, 1024)} on this disk.`);
