import { and, asc, eq, gt, sql, type SQL } from 'drizzle-orm';
import { artifacts, type Artifact } from '../../../db/directory.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { countThatFit } from './answer-bound.ts';
import { rangeOfPrefix } from './artifact-path.ts';

export interface DirectoryPage {
  /** By name. */
  artifacts: Artifact[];
  /** Names of what lies directly below and has something in it, without slashes. */
  directories: string[];
  nextCursor: string | null;
}

type Start = { kind: 'directory' | 'artifact'; beyond: string | undefined };

/**
 * What lies directly in '/dir/': first its directories, then its artifacts, `limit` of them together on a page. A directory without
 * anything in it is not there, so its list is empty. With much metadata a page has fewer. Throws not_found (disk).
 */
export const listDirectory = async (
  ctx: Context,
  diskId: string,
  directory: string,
  { cursor, limit }: { cursor: string | undefined; limit: number },
): Promise<DirectoryPage> => {
  const start = startOf(cursor);
  const wanted = limit + 1;
  const [, directories, files] = await Promise.all([
    getDisk(ctx, diskId),
    start.kind === 'directory' ? findDirectories(ctx, diskId, directory, start.beyond, wanted) : [],
    findFiles(ctx, diskId, directory, start.kind === 'artifact' ? start.beyond : undefined, limit),
  ]);
  const shown = directories.slice(0, limit);
  const shownFiles = files.rows.slice(0, Math.min(limit - shown.length, files.fit));
  const more = directories.length > shown.length || files.rows.length > shownFiles.length;
  return { artifacts: shownFiles, directories: shown, nextCursor: more ? cursorAfter(shown, shownFiles) : null };
};

const startOf = (cursor: string | undefined): Start => {
  if (cursor === undefined) return { kind: 'directory', beyond: undefined };
  const [kind, beyond] = decodeCursor(cursor, ['string', 'string']);
  if (kind === 'd') return { kind: 'directory', beyond };
  if (kind === 'a') return { kind: 'artifact', beyond };
  throw new ServiceError('invalid_argument', 'The cursor is not one that this list gave.');
};

const cursorAfter = (directories: readonly string[], files: readonly Artifact[]): string => {
  const file = files.at(-1);
  return encodeCursor(file ? ['a', file.name] : ['d', directories.at(-1) ?? '']);
};

/** The first that fit into an answer, and one more to tell that there are more. */
const findFiles = async (
  ctx: Context,
  diskId: string,
  directory: string,
  beyond: string | undefined,
  limit: number,
): Promise<{ rows: Artifact[]; fit: number }> => {
  const where = and(
    eq(artifacts.diskId, diskId),
    eq(artifacts.path, directory),
    beyond === undefined ? undefined : gt(artifacts.name, beyond),
  );
  const fit = await countThatFit(ctx, where, limit);
  const rows = await ctx.directory
    .select()
    .from(artifacts)
    .where(where)
    .orderBy(asc(artifacts.name))
    .limit(fit + 1);
  return { rows, fit };
};

/**
 * One step in the index for each directory, however much lies in it: from the first path below '/dir/' to the first one after
 * everything that begins with '/dir/<its segment>/' ('0' comes right after '/'), and so on.
 */
const findDirectories = async (
  ctx: Context,
  diskId: string,
  directory: string,
  beyond: string | undefined,
  limit: number,
): Promise<string[]> => {
  const { before } = rangeOfPrefix(directory);
  const firstAfter = (condition: SQL): SQL =>
    sql`select min(${artifacts.path}) from ${artifacts} where ${artifacts.diskId} = ${diskId}
      and ${artifacts.path} ${condition} ${before === undefined ? sql`` : sql`and ${artifacts.path} < ${before}`}`;
  const rest = sql`substr(below.path, length(${directory}) + 1)`;
  const segment = sql`substr(${rest}, 1, instr(${rest}, '/') - 1)`;
  const start = beyond === undefined ? sql`> ${directory}` : sql`>= ${`${directory}${beyond}0`}`;
  const rows = await ctx.directory.select({ segment: sql<string>`${segment}` }).from(
    sql`(with recursive below(path) as (${firstAfter(start)}
        union all select (${firstAfter(sql`>= ${directory} || ${segment} || '0'`)}) from below where below.path is not null
        limit ${limit + 1}) select path from below where path is not null limit ${limit}) as below`,
  );
  return rows.map((row) => row.segment);
};
