import { and, asc, type SQL } from 'drizzle-orm';
import { artifacts, type Artifact } from '../../../db/directory.ts';
import type { Context } from '../ports.ts';
import { isGreppable } from './content-type.ts';
import { afterPlace, inRange, onOwnDisk } from './list-paths.ts';

export type Text = Pick<Artifact, 'path' | 'name' | 'blobId' | 'sizeBytes' | 'contentType'>;

const pageCount = 1000;

/** What grep looks into, in a directory and below it, by path and name; none of a disk that is not the tenant's. */
export async function* listTexts(ctx: Context, diskId: string, directory: string): AsyncGenerator<Text> {
  const { path, name, blobId, sizeBytes, contentType } = artifacts;
  for (let after: SQL | undefined; ;) {
    const rows = await ctx.directory
      .select({ path, name, blobId, sizeBytes, contentType })
      .from(artifacts)
      .where(and(onOwnDisk(ctx, diskId), inRange(path, directory), after))
      .orderBy(asc(path), asc(name))
      .limit(pageCount);
    yield* rows.filter((row) => isGreppable(row.contentType));
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageCount) return;
    after = afterPlace(last);
  }
}
