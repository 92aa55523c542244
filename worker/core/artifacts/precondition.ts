import { and, eq, sql, type SQL } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { findArtifact } from './get-artifact.ts';

/** RFC 9110 sections 13.1.1 and 13.1.2, over strong etags without their quotes. */
export type Precondition =
  | { kind: 'match'; etags: readonly string[] | '*' }
  | { kind: 'none_match'; etags: readonly string[] | '*' };

interface Place {
  path: string;
  name: string;
}

/** As a condition inside of the statement that writes, so that nothing can come in between. */
export const preconditionHolds = (diskId: string, { path, name }: Place, { kind, etags }: Precondition): SQL => {
  const here = and(eq(artifacts.diskId, diskId), eq(artifacts.path, path), eq(artifacts.name, name));
  const which =
    etags === '*' ? sql`1` : sql`${artifacts.etag} in (select value from json_each(${JSON.stringify(etags)}))`;
  const some = sql`exists (select 1 from ${artifacts} where ${here} and ${which})`;
  return kind === 'match' ? some : sql`not ${some}`;
};

/** Throws precondition_failed, with what is there now. */
export const checkPrecondition = async (
  ctx: Context,
  diskId: string,
  place: Place,
  precondition: Precondition,
): Promise<void> => {
  const found = await findArtifact(ctx, diskId, place);
  const matches = found !== undefined && (precondition.etags === '*' || precondition.etags.includes(found.etag));
  if (matches === (precondition.kind === 'match')) return;
  throw new ServiceError(
    'precondition_failed',
    found === undefined
      ? 'There is no such artifact (If-Match).'
      : precondition.kind === 'match'
        ? `The artifact's ETag is "${found.etag}" by now: read it again before you write.`
        : `There is an artifact already, with the ETag "${found.etag}" (If-None-Match).`,
  );
};
