import { ServiceError } from '../../../../core/errors.ts';
import { ConnectError } from '../connect/failure.ts';
import { expandPath } from '../path.ts';
import type { EnvdRoute } from '../route.ts';
import { callerOf, fileCall } from './call.ts';
import { viewEntry, type FileEntry } from './entry.ts';
import { listDirRequest, moveRequest, pathRequest } from './messages.ts';

/** No path has more parts: deeper is as deep as there is. */
const depthMax = 2048;

const stat = fileCall('Stat', pathRequest, async ({ c, ctx, ref }, { path }) => {
  const input = { path: expandPath(path), ...callerOf(c), followSymlinks: false };
  return { entry: viewEntry(await ctx.broker.file(ref, 'stat', input)) };
});

const makeDir = fileCall('MakeDir', pathRequest, async ({ c, ctx, ref }, { path }) => {
  const made = await ctx.broker.file(ref, 'mkdir', { path: expandPath(path), ...callerOf(c) }).catch(refuseFile);
  if (!made.created) throw new ConnectError('already_exists', `directory already exists: ${made.entry.path}`);
  return { entry: viewEntry(made.entry) };
});

const refuseFile = (error: unknown): never => {
  if (!(error instanceof ServiceError) || error.code !== 'file_exists') throw error;
  const path = error.filePath ?? '';
  throw new ConnectError('invalid_argument', `path already exists but it is not a directory: ${path}`);
};

const move = fileCall('Move', moveRequest, async ({ c, ctx, ref }, { source, destination }) => {
  const paths = { source: expandPath(source), destination: expandPath(destination) };
  const { entry } = await ctx.broker.file(ref, 'move', { ...paths, ...callerOf(c), overwrite: true, parents: true });
  return { entry: viewEntry(entry) };
});

const listDir = fileCall('ListDir', listDirRequest, async ({ c, ctx, ref }, { path, depth }) => {
  const input = { path: expandPath(path), ...callerOf(c), depth: Math.min(Math.max(depth, 1), depthMax) };
  const { entries, truncated } = await ctx.broker.file(ref, 'list', input);
  if (truncated) {
    const message = `the list would be longer than ${entries.length} entries: list its directories one by one`;
    throw new ConnectError('out_of_range', message);
  }
  return { entries: depthFirst(entries).map(viewEntry) };
});

/** A directory's own entries follow it at once: no character comes before the one that ends a name. */
const depthFirst = (entries: readonly FileEntry[]): FileEntry[] =>
  entries
    .map((entry) => ({ entry, key: entry.path.replaceAll('/', '\0') }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ entry }) => entry);

const remove = fileCall('Remove', pathRequest, async ({ c, ctx, ref }, { path }) => {
  await ctx.broker.file(ref, 'remove', { path: expandPath(path), ...callerOf(c), recursive: true });
  return {};
});

export const entryRoutes: readonly EnvdRoute[] = [stat, makeDir, move, listDir, remove];
