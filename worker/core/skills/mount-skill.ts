import { ServiceError } from '../errors.ts';
import type { Context, SandboxRef } from '../ports.ts';
import { treeBelow, writeTree } from '../transfers/copy-directory-to-sandbox.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';
import { getSkill } from './get-skill.ts';

export interface MountedSkill {
  name: string;
  description: string;
  /** '/skills/<name>': a skill's name is fit to be a directory's. */
  dirPath: string;
}

const user = 'root';

/**
 * Puts a skill's files into a sandbox, in a directory of their own, which is root's and readable by all. Throws not_found, conflict when the
 * directory is there already; after any failure it is not. A skill without files is mounted without touching the sandbox.
 */
export const mountSkill = async (ctx: Context, skillId: string, sandboxId: string): Promise<MountedSkill> => {
  const skill = await getSkill(ctx, skillId);
  const dirPath = `/skills/${skill.name}`;
  const files = await treeBelow(ctx, skill.diskId, '/');
  const mounted = { name: skill.name, description: skill.description, dirPath };
  if (files.length === 0) return mounted;
  const ref = sandboxRefOf(ctx, sandboxId);
  await makeDirectory(ctx, ref, dirPath);
  try {
    await writeTree(ctx, files, { sandboxId, destination: dirPath, user });
  } catch (error) {
    ctx.after(ctx.broker.file(ref, 'remove', { path: dirPath, user, recursive: true }));
    throw error;
  }
  return mounted;
};

/** Of two mounts at once one makes it. */
const makeDirectory = async (ctx: Context, ref: SandboxRef, path: string): Promise<void> => {
  try {
    if ((await ctx.broker.file(ref, 'mkdir', { path, user })).created) return;
  } catch (error) {
    if (!(error instanceof ServiceError && error.code === 'file_exists')) throw error;
  }
  throw new ServiceError('conflict', `The sandbox has ${path} already: a skill is mounted once.`);
};
