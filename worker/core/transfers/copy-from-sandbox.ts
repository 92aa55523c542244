import type { Artifact } from '../../../db/directory.ts';
import type { ArtifactPlace } from '../artifacts/get-artifact.ts';
import { putArtifact } from '../artifacts/put-artifact.ts';
import { getDisk } from '../disks/get-disk.ts';
import type { Context } from '../ports.ts';
import { noteGeneratedFile } from '../sandboxes/note-generated-file.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';
import { explained, SandboxBytes } from './sandbox-bytes.ts';

export interface SandboxSource {
  sandboxId: string;
  /** In the sandbox: absolute, or relative to the user's home. */
  source: string;
  /** On whose behalf: that account's rights apply. */
  user: string;
  diskId: string;
}

interface CopiedFile extends SandboxSource, ArtifactPlace {
  /** The artifact's new metadata. Undefined: one that is overwritten keeps its own. */
  metadata?: Record<string, unknown> | undefined;
}

/**
 * Copies a sandbox's file to a disk, over an artifact that is there: whole or not at all. Throws what reading a file throws, what
 * putArtifact throws, transfer_failed or sandbox_ended when the bytes were cut; nothing has changed then.
 */
export const copyFromSandbox = async (
  ctx: Context,
  { sandboxId, source, user, diskId, metadata, path, name }: CopiedFile,
): Promise<Artifact> => {
  await getDisk(ctx, diskId);
  const { head, body } = await ctx.broker.readFile(sandboxRefOf(ctx, sandboxId), { kind: 'file', path: source, user });
  const contentBytes = head.contentBytes ?? 0;
  const content = new SandboxBytes(body, contentBytes);
  try {
    const artifact = await putArtifact(ctx, diskId, { path, name, content, contentBytes, metadata });
    await note(ctx, sandboxId, absolute(source, head.entry.path));
    return artifact;
  } catch (error) {
    await content.giveUp();
    throw await explained(ctx, sandboxId, error);
  }
};

const absolute = (source: string, toldPath: string): string => (source.startsWith('/') ? source : toldPath);

/** What the sandbox's history then lacks is no reason to call the copy a failure. */
export const note = async (ctx: Context, sandboxId: string, path: string): Promise<void> => {
  try {
    await noteGeneratedFile(ctx, sandboxId, path.slice(0, 4096));
  } catch (error) {
    ctx.log('warn', 'a file that was copied to a disk is missing from the history of its sandbox', error);
  }
};
