import { asc } from 'drizzle-orm';
import { artifacts, type Artifact } from '../../../db/directory.ts';
import { inDirectory } from '../artifacts/in-directory.ts';
import { readArtifact } from '../artifacts/read-artifact.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import { chunksOf } from '../formats/byte-source.ts';
import { packTar, tarBytes } from '../formats/tar.ts';
import type { Context } from '../ports.ts';
import type { CopiedToSandbox, SandboxTarget } from './copy-to-sandbox.ts';
import { filesCountMax, tooManyFiles } from './limits.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';

/** A file of the directory that is made in the sandbox. */
export interface TreeFile {
  /** Relative to it. */
  path: string;
  artifact: FoundFile;
}

/** Without its metadata: a directory's would be many MB. */
export type FoundFile = Pick<Artifact, keyof typeof fileColumns>;

const fileColumns = {
  path: artifacts.path,
  name: artifacts.name,
  blobId: artifacts.blobId,
  contentType: artifacts.contentType,
  sizeBytes: artifacts.sizeBytes,
  updatedAtMs: artifacts.updatedAtMs,
};

/**
 * Copies all that lies in a disk's directory ('/dir/') into one of the sandbox, which is made if it is missing; files that are there and
 * have other names stay. Throws not_found for a directory without artifacts, payload_too_large past filesCountMax, conflict for names
 * that a file system can't hold beside each other; nothing has happened then. What came whole before a later failure stays.
 */
export const copyDirectoryToSandbox = async (
  ctx: Context,
  { diskId, path }: { diskId: string; path: string },
  target: SandboxTarget,
): Promise<CopiedToSandbox> => {
  await getDisk(ctx, diskId);
  const files = await treeBelow(ctx, diskId, path);
  if (files.length === 0) throw new ServiceError('not_found', `There is nothing below ${path} on this disk.`);
  return writeTree(ctx, files, target);
};

/** As one archive, streamed: the store's objects are read one after the other. */
export const writeTree = async (
  ctx: Context,
  files: readonly TreeFile[],
  { sandboxId, destination, user }: SandboxTarget,
): Promise<CopiedToSandbox> => {
  const entries = files.map(({ path, artifact }) => ({
    path,
    sizeBytes: artifact.sizeBytes,
    modifiedAtMs: artifact.updatedAtMs,
    body: bodyOf(ctx, artifact),
  }));
  const write = { kind: 'tar' as const, path: destination, user };
  const ref = sandboxRefOf(ctx, sandboxId);
  const { writtenBytes } = await ctx.broker.writeFile(ref, write, packTar(entries), tarBytes(entries));
  return { filesCount: files.length, writtenBytes };
};

/** Opened when it is its turn. */
export async function* bodyOf(ctx: Context, artifact: FoundFile): AsyncGenerator<Uint8Array, void> {
  if (artifact.sizeBytes > 0) yield* chunksOf(await readArtifact(ctx, ctx.actor.tenant.id, artifact));
}

/** What a directory is as files of a file system. Throws payload_too_large past filesCountMax, conflict. */
export const treeBelow = async (ctx: Context, diskId: string, path: string): Promise<TreeFile[]> =>
  treeOf(await artifactsBelow(ctx, diskId, path), path);

const artifactsBelow = async (ctx: Context, diskId: string, path: string): Promise<FoundFile[]> => {
  const found = await findBelow(ctx, diskId, path, filesCountMax + 1);
  if (found.length > filesCountMax) throw tooManyFiles(`The directory ${path}`);
  return found;
};

/** The first `limit` artifacts in '/dir/' and below it, in the order of their paths. */
export const findBelow = (ctx: Context, diskId: string, path: string, limit: number): Promise<FoundFile[]> =>
  ctx.directory
    .select(fileColumns)
    .from(artifacts)
    .where(inDirectory(diskId, path))
    .orderBy(asc(artifacts.path), asc(artifacts.name))
    .limit(limit);

/** A disk's empty segments ('/a//b') are none in a file system, and there a name is a file's or a directory's. */
const treeOf = (found: readonly FoundFile[], directory: string): TreeFile[] => {
  const files = found.map((artifact) => ({
    path: `${artifact.path}${artifact.name}`
      .slice(directory.length)
      .split('/')
      .filter((segment) => segment !== '')
      .join('/'),
    artifact,
  }));
  const names = new Set<string>();
  for (const { path } of files) {
    if (names.has(path)) throw clash(path);
    names.add(path);
  }
  for (const { path } of files) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      if (names.has(path.slice(0, at))) throw clash(path.slice(0, at));
    }
  }
  return files;
};

const clash = (path: string): ServiceError =>
  new ServiceError('conflict', `Two of the artifacts would both be ${path.slice(0, 1024)} in the sandbox.`);
