import { and, eq, exists, sql } from 'drizzle-orm';
import { artifacts, disks, type Artifact } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import { newEtag } from '../ids.ts';
import type { Context } from '../ports.ts';
import { getArtifact, type ArtifactPlace } from './get-artifact.ts';
import { checkPrecondition, preconditionHolds, type Precondition } from './precondition.ts';

export interface ChangeArtifact {
  /** The new metadata, whole. Undefined: as it is. */
  metadata?: Record<string, unknown> | undefined;
  /** Undefined: as it is. */
  contentType?: string | undefined;
  precondition?: Precondition | undefined;
}

/** What is said about an artifact, not its content; its etag is a fresh one. Throws not_found, precondition_failed. */
export const changeArtifact = async (
  ctx: Context,
  diskId: string,
  place: ArtifactPlace,
  { metadata, contentType, precondition }: ChangeArtifact,
): Promise<Artifact> => {
  const [changed] = await ctx.directory
    .update(artifacts)
    .set({
      etag: newEtag(),
      updatedAtMs: ctx.now(),
      ...(metadata === undefined ? {} : { metadata }),
      ...(contentType === undefined ? {} : { contentType }),
    })
    .where(and(isAt(ctx, diskId, place), precondition && preconditionHolds(diskId, place, precondition)))
    .returning();
  if (changed) return changed;
  await getArtifact(ctx, diskId, place);
  if (precondition) await checkPrecondition(ctx, diskId, place, precondition);
  throw new ServiceError('conflict', 'The artifact was written in the same moment; try again.');
};

/** The one artifact at a place on a disk of this tenant. */
export const isAt = (ctx: Context, diskId: string, { path, name }: ArtifactPlace) =>
  and(eq(artifacts.diskId, diskId), eq(artifacts.path, path), eq(artifacts.name, name), isOwnDisk(ctx, diskId));

/** As a condition of a statement: the disk is there and this tenant's. */
export const isOwnDisk = (ctx: Context, diskId: string) =>
  exists(
    ctx.directory
      .select({ one: sql`1` })
      .from(disks)
      .where(and(eq(disks.id, diskId), eq(disks.tenantId, ctx.actor.tenant.id))),
  );
