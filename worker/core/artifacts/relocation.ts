import { sql, type SQL } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { isInDirectory, maxPathBytes, parseArtifactPath, parseDirectoryPath, rangeOfPrefix } from './artifact-path.ts';
import { artifactNotFound } from './get-artifact.ts';
import { directoryNotFound } from './remove-artifacts.ts';

export interface Relocation {
  /** '/dir/name' or, for all that lies in and below it, '/dir/'. */
  source: string;
  /** Of the same kind as the source. */
  destination: string;
  /** Whether artifacts that are at the destination are replaced. What else lies there stays. */
  overwrite: boolean;
}

/** What one move or copy takes; the database gives a statement 30 s. */
export const relocatedMaxCount = 10_000;

/** A move or a copy in the terms of SQL, for any alias of the artifacts' table. */
export interface RelocationSql {
  /** The row is one of the source's. */
  isSource: (row: SQL) => SQL;
  newPath: (row: SQL) => SQL;
  newName: (row: SQL) => SQL;
  /** The row is in the way of one of the source's. */
  isInTheWay: SQL;
  /** All of it may be done. */
  allowed: SQL;
  /** Says why it was not. */
  explain: () => Promise<ServiceError>;
}

/** Throws invalid_argument. */
export const planRelocation = (ctx: Context, diskId: string, input: Relocation): RelocationSql => {
  const { isSource, newPath, newName } = placesOf(diskId, input);
  const source = sql`${artifacts} as source`;
  const old = sql`source`;
  const ofSource = (what: SQL): SQL => sql`(select ${what} from ${source} where ${isSource(old)})`;
  const isInTheWay = sql`${artifacts.diskId} = ${diskId} and (${artifacts.path}, ${artifacts.name}) in
    ${ofSource(sql`${newPath(old)}, ${newName(old)}`)}`;
  const someInTheWay = sql`exists (select 1 from ${source} join ${artifacts} as target on target.disk_id = ${diskId}
    and target.path = ${newPath(old)} and target.name = ${newName(old)} where ${isSource(old)})`;
  const tooMany = sql`(select count(*) from (select 1 from ${source} where ${isSource(old)} limit ${relocatedMaxCount + 1})) > ${relocatedMaxCount}`;
  const tooLong = sql`exists (select 1 from ${source} where ${isSource(old)}
    and length(cast(${newPath(old)} || ${newName(old)} as blob)) > ${maxPathBytes})`;
  const isOwn = sql`exists (select 1 from disks where disks.id = ${diskId} and disks.tenant_id = ${ctx.actor.tenant.id})`;
  const allowed = sql`${isOwn} and not ${tooMany} and not ${tooLong} and ${input.overwrite ? sql`1` : sql`not ${someInTheWay}`}`;
  const explain = async (): Promise<ServiceError> => {
    await getDisk(ctx, diskId);
    const [found] = await ctx.directory
      .select({
        any: sql<number>`exists ${ofSource(sql`1`)}`,
        tooMany: sql<number>`${tooMany}`,
        tooLong: sql<number>`${tooLong}`,
      })
      .from(sql`(select 1)`);
    if (!found?.any) return sourceNotFound(input.source);
    if (found.tooMany)
      return refused(`A move or copy takes at most ${relocatedMaxCount} artifacts; do it directory by directory.`);
    if (found.tooLong)
      return refused(`A path has at most ${maxPathBytes} bytes, and one of the new paths would have more.`);
    return new ServiceError(
      'conflict',
      'There are artifacts at the destination already; overwrite: true replaces them.',
    );
  };
  return { isSource, newPath, newName, isInTheWay, allowed, explain };
};

const placesOf = (diskId: string, { source, destination }: Relocation) => {
  if (source.endsWith('/') !== destination.endsWith('/')) {
    throw refused('The source and the destination are both artifacts, or both directories (with "/" at their ends).');
  }
  return source.endsWith('/') ? directoryPlaces(diskId, source, destination) : filePlaces(diskId, source, destination);
};

const filePlaces = (diskId: string, source: string, destination: string) => {
  const from = parseArtifactPath(source);
  const to = parseArtifactPath(destination);
  if (source === destination) throw refused('The source and the destination are the same.');
  return {
    isSource: (row: SQL) =>
      sql`${row}.disk_id = ${diskId} and ${row}.path = ${from.path} and ${row}.name = ${from.name}`,
    newPath: () => sql`${to.path}`,
    newName: () => sql`${to.name}`,
  };
};

const directoryPlaces = (diskId: string, source: string, destination: string) => {
  const from = parseDirectoryPath(source);
  const to = parseDirectoryPath(destination);
  if (isInDirectory(to, from) || isInDirectory(from, to)) {
    throw refused('Neither of the source and the destination can be in the other.');
  }
  const { before } = rangeOfPrefix(from);
  const upTo = (row: SQL) => (before === undefined ? sql`` : sql`and ${row}.path < ${before}`);
  return {
    isSource: (row: SQL) => sql`${row}.disk_id = ${diskId} and ${row}.path >= ${from} ${upTo(row)}`,
    newPath: (row: SQL) => sql`${to} || substr(${row}.path, length(${from}) + 1)`,
    newName: (row: SQL) => sql`${row}.name`,
  };
};

const refused = (sentence: string): ServiceError => new ServiceError('invalid_argument', sentence);

const sourceNotFound = (source: string): ServiceError =>
  source.endsWith('/') ? directoryNotFound(source) : artifactNotFound(parseArtifactPath(source));
