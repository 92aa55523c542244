import type { Artifact } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import type { ArtifactPlace } from './get-artifact.ts';
import { artifactsAt } from './artifacts-at.ts';
import { compileGlob, type Glob } from './glob.ts';
import { listPaths, splitPath } from './list-paths.ts';

/** What one request looks through. */
const scannedCount = 200_000;
const scanMs = 10_000;
/** Pattern × path, in characters: 50 ms of the worst pattern there is. Then the clock is looked at, and others of the isolate have their turn. */
const unbrokenSteps = 5e6;

export interface GlobArtifacts {
  flavour: 'native' | 'acontext';
  /** At most 1,000. */
  limit: number;
}

/**
 * The first `limit` artifacts whose full path fits the pattern, by path and name. Only what begins as the pattern does is looked at. Throws
 * not_found, invalid_argument (the pattern; or more to look at than it may), deadline_exceeded.
 */
export const globArtifacts = async (
  ctx: Context,
  diskId: string,
  pattern: string,
  { flavour, limit }: GlobArtifacts,
): Promise<Artifact[]> => {
  const glob = compileGlob(pattern, { flavour });
  const stepsOf = (fullPath: string): number => pattern.length * fullPath.length;
  const places = await findPlaces(ctx, listPaths(ctx, diskId, glob.literalPrefix), { glob, stepsOf, limit });
  if (places.length > 0) return artifactsAt(ctx, diskId, places);
  await getDisk(ctx, diskId);
  return [];
};

const findPlaces = async (
  ctx: Context,
  pages: AsyncIterable<string[]>,
  { glob, stepsOf, limit }: { glob: Glob; stepsOf: (fullPath: string) => number; limit: number },
): Promise<ArtifactPlace[]> => {
  const untilMs = ctx.now() + scanMs;
  const places: ArtifactPlace[] = [];
  let seen = 0;
  let steps = 0;
  for await (const page of pages) {
    ctx.signal.throwIfAborted();
    for (const fullPath of page) {
      if (seen >= scannedCount) throw tooMany();
      if (steps > unbrokenSteps) {
        await new Promise((resolve) => setTimeout(resolve));
        ctx.signal.throwIfAborted();
        if (ctx.now() > untilMs) throw tooLong();
        steps = 0;
      }
      seen += 1;
      steps += stepsOf(fullPath);
      if (!glob.matches(fullPath)) continue;
      places.push(splitPath(fullPath));
      if (places.length === limit) return places;
    }
  }
  return places;
};

const tooMany = (): ServiceError =>
  new ServiceError(
    'invalid_argument',
    `The pattern begins like more than ${scannedCount} artifacts: begin it with a directory, or ask for fewer matches.`,
  );

const tooLong = (): ServiceError =>
  new ServiceError(
    'deadline_exceeded',
    `The search took more than ${scanMs / 1000} s: begin the pattern with a directory, or make it simpler.`,
  );
