import type { Artifact } from '../../../db/directory.ts';
import { readArtifact } from '../artifacts/read-artifact.ts';
import type { Context } from '../ports.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';

export interface SandboxTarget {
  sandboxId: string;
  /** In the sandbox: absolute, or relative to the user's home. What is missing of its directories is made. */
  destination: string;
  /** On whose behalf: that account's rights apply, and it owns what is made. */
  user: string;
}

export interface CopiedToSandbox {
  filesCount: number;
  writtenBytes: number;
}

/**
 * Copies an artifact that was just looked up into a sandbox, over a file that is there: at once when all has arrived. The bytes pass from
 * stream to stream and never through JavaScript (those of small files do). Throws what writing a file throws.
 */
export const copyToSandbox = async (
  ctx: Context,
  artifact: Artifact,
  { sandboxId, destination, user }: SandboxTarget,
): Promise<CopiedToSandbox> => {
  const ref = sandboxRefOf(ctx, sandboxId);
  const body = await readArtifact(ctx, ctx.actor.tenant.id, artifact);
  try {
    const write = { kind: 'file' as const, path: destination, user };
    const { writtenBytes } = await ctx.broker.writeFile(ref, write, body, artifact.sizeBytes);
    return { filesCount: 1, writtenBytes };
  } catch (error) {
    if (!body.locked) await body.cancel();
    throw error;
  }
};
