import { and, eq, gte, lt, type SQL } from 'drizzle-orm';
import { artifacts } from '../../../db/directory.ts';
import { rangeOfPrefix } from './artifact-path.ts';

/** The artifacts of a disk that lie in '/dir/' or below it: a range of the index. */
export const inDirectory = (diskId: string, directory: string): SQL | undefined => {
  const { from, before } = rangeOfPrefix(directory);
  return and(
    eq(artifacts.diskId, diskId),
    gte(artifacts.path, from),
    before === undefined ? undefined : lt(artifacts.path, before),
  );
};
