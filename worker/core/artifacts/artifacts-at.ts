import { and, asc, eq, sql } from 'drizzle-orm';
import { artifacts, type Artifact } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { requireThatFit } from './answer-bound.ts';
import type { ArtifactPlace } from './get-artifact.ts';

/** So many places are one parameter, whose JSON stays under D1's 2 MB whatever is in them. */
const placesCount = 250;

/** Those of the places, given in order, where there still is an artifact, in that order. The disk is the tenant's. Throws payload_too_large. */
export const artifactsAt = async (
  ctx: Context,
  diskId: string,
  places: readonly ArtifactPlace[],
): Promise<Artifact[]> => {
  const found: Artifact[] = [];
  for (let from = 0; from < places.length; from += placesCount) {
    const given = JSON.stringify(places.slice(from, from + placesCount).map(({ path, name }) => [path, name]));
    const here = sql`(${artifacts.path}, ${artifacts.name}) in (select value ->> 0, value ->> 1 from json_each(${given}))`;
    const page = await ctx.directory
      .select()
      .from(artifacts)
      .where(and(eq(artifacts.diskId, diskId), here))
      .orderBy(asc(artifacts.path), asc(artifacts.name));
    found.push(...page);
    requireThatFit(found);
  }
  return found;
};
