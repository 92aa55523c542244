import type { Artifact } from '../../../db/directory.ts';
import { parseArtifactPath } from '../artifacts/artifact-path.ts';
import { commitArtifacts, type ArtifactWrite } from '../artifacts/commit-artifacts.ts';
import { quotaError } from '../artifacts/storage-quota.ts';
import { FileStager } from '../artifacts/stage-files.ts';
import { getDisk } from '../disks/get-disk.ts';
import { ServiceError } from '../errors.ts';
import { unpackTar, type TarEntry } from '../formats/tar.ts';
import type { Context } from '../ports.ts';
import { note, type SandboxSource } from './copy-from-sandbox.ts';
import { filesCountMax, tooManyFiles } from './limits.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';
import { explained, SandboxBytes } from './sandbox-bytes.ts';

/** Directories and links are entries, too. The content's bound is the tenant's. */
const bounds = { entriesMax: 100_000, pathBytesMax: 4096, contentBytesMax: Number.MAX_SAFE_INTEGER };
/** The commit takes all paths as one JSON value, of at most 2 MB. */
const pathsMax = 1024 * 1024;

export interface CopiedFromSandbox {
  artifacts: Artifact[];
  /** Symlinks, and whatever else is neither a file nor a directory. */
  skippedCount: number;
}

/**
 * Copies what lies in a sandbox's directory to one of a disk ('/dir/'): all of it at once, or nothing. Artifacts that are there and have
 * other names stay. Throws payload_too_large past filesCountMax, and what copyFromSandbox throws.
 */
export const copyDirectoryFromSandbox = async (
  ctx: Context,
  { sandboxId, source, user, diskId, path }: SandboxSource & { path: string },
): Promise<CopiedFromSandbox> => {
  await getDisk(ctx, diskId);
  const { head, body } = await ctx.broker.readFile(sandboxRefOf(ctx, sandboxId), { kind: 'tar', path: source, user });
  const archive = new SandboxBytes(body, null);
  const tree = new StagedTree(ctx, path);
  let writes: readonly ArtifactWrite[];
  try {
    writes = await tree.stage(archive);
  } catch (error) {
    await Promise.all([tree.discard(), archive.giveUp()]);
    const cut = archive.ended && error instanceof ServiceError && error.code === 'invalid_argument';
    throw await explained(ctx, sandboxId, error, cut || undefined);
  }
  const artifacts = await commitArtifacts(ctx, diskId, writes);
  const directory = source.startsWith('/') ? source : head.entry.path;
  await note(ctx, sandboxId, directory.endsWith('/') ? directory : `${directory}/`);
  return { artifacts, skippedCount: tree.skippedCount };
};

/** The files of an archive on their way to a directory. */
class StagedTree {
  readonly #ctx: Context;
  readonly #directory: string;
  readonly #stager: FileStager;
  readonly #seen = new Set<string>();
  #pathsLength = 0;
  #contentBytes = 0;
  skippedCount = 0;

  constructor(ctx: Context, directory: string) {
    this.#ctx = ctx;
    this.#directory = directory;
    this.#stager = new FileStager(ctx);
  }

  async stage(archive: AsyncIterable<Uint8Array>): Promise<readonly ArtifactWrite[]> {
    for await (const entry of unpackTar(archive, bounds)) {
      if (entry.kind === 'file') await this.#add(entry);
      else if (entry.kind !== 'directory') this.skippedCount += 1;
    }
    return this.#stager.staged();
  }

  async #add(entry: TarEntry): Promise<void> {
    const place = parseArtifactPath(`${this.#directory}${entry.path}`);
    if (this.#seen.has(entry.path)) {
      throw new ServiceError('invalid_argument', `The directory has ${entry.path.slice(0, 1024)} twice.`);
    }
    this.#seen.add(entry.path);
    this.#pathsLength += JSON.stringify(place).length;
    if (this.#seen.size > filesCountMax || this.#pathsLength > pathsMax) throw tooManyFiles('The directory');
    this.#contentBytes += entry.sizeBytes;
    if (this.#contentBytes > this.#ctx.actor.tenant.maxStorageBytes) throw quotaError(this.#ctx);
    await this.#stager.add(place, entry.body, entry.sizeBytes);
  }

  discard(): Promise<void> {
    return this.#stager.discard();
  }
}
