import { and, eq, gte, lt, sql, type SQL } from 'drizzle-orm';
import { artifacts, disks } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { rangeOfPrefix } from './artifact-path.ts';
import type { ArtifactPlace } from './get-artifact.ts';

/** So many paths are one value, whose JSON stays under the 2 MB that D1 gives a value. */
const pageCount = 10_000;
const pageBytes = 1_900_000;
/** And so many stay under it however long they are and however they are spelled: six bytes of JSON for each of 1,024. */
const longPageCount = 300;

/**
 * The full paths on a disk that begin with `prefix`, page by page, in the order of (path, name); none of a disk that is not the tenant's. A page is
 * one JSON string, which the database writes and we read three times as quickly as rows.
 */
export async function* listPaths(ctx: Context, diskId: string, prefix: string): AsyncGenerator<string[]> {
  for (const range of rangesOf(prefix)) {
    for (let after: SQL | undefined; ;) {
      const { paths, seenCount } = await readPage(ctx, and(onOwnDisk(ctx, diskId), range, after));
      const last = paths.at(-1);
      if (last !== undefined) yield paths;
      if (last === undefined || (seenCount < pageCount && paths.length === seenCount)) break;
      after = afterPlace(splitPath(last));
    }
  }
}

/** The paths of a disk that is the tenant's. */
export const onOwnDisk = (ctx: Context, diskId: string): SQL | undefined =>
  and(
    eq(artifacts.diskId, diskId),
    sql`exists (select 1 from ${disks} where ${disks.id} = ${diskId} and ${disks.tenantId} = ${ctx.actor.tenant.id})`,
  );

/** In the order of the index. */
export const afterPlace = ({ path, name }: ArtifactPlace): SQL =>
  sql`(${artifacts.path}, ${artifacts.name}) > (${path}, ${name})`;

/** Of a full path that came from here: no name has a slash. */
export const splitPath = (fullPath: string): ArtifactPlace => {
  const nameFrom = fullPath.lastIndexOf('/') + 1;
  return { path: fullPath.slice(0, nameFrom), name: fullPath.slice(nameFrom) };
};

/** As ranges of the index, in its order: names in the directory where the prefix ends, then the directories that begin with it. */
const rangesOf = (prefix: string): (SQL | undefined)[] => {
  if (prefix === '' || prefix === '/') return [undefined];
  if (!prefix.startsWith('/')) return [];
  const { path, name } = splitPath(prefix);
  const below = inRange(artifacts.path, prefix);
  return name === '' ? [below] : [and(eq(artifacts.path, path), inRange(artifacts.name, name)), below];
};

export const inRange = (column: typeof artifacts.path | typeof artifacts.name, prefix: string): SQL | undefined => {
  const { from, before } = rangeOfPrefix(prefix);
  return and(gte(column, from), before === undefined ? undefined : lt(column, before));
};

const readPage = async (ctx: Context, where: SQL | undefined): Promise<{ paths: string[]; seenCount: number }> => {
  const [page] = await ctx.directory.all<{ paths: string; seen: number }>(sql`
    with page as materialized (
      select ${artifacts.path} || ${artifacts.name} as full from ${artifacts}
        where ${where} order by ${artifacts.path}, ${artifacts.name} limit ${pageCount})
    select case when (select sum(octet_length(json_quote(full)) + 1) from page) <= ${pageBytes}
        then (select json_group_array(full) from page)
        else (select json_group_array(full) from (select full from page limit ${longPageCount})) end as paths,
      (select count(*) from page) as seen`);
  return { paths: stringsOf(page?.paths ?? '[]'), seenCount: page?.seen ?? 0 };
};

/** The database wrote it: an array of strings. */
const stringsOf = (json: string): string[] => JSON.parse(json) as string[];
