import { ServiceError } from '../errors.ts';
import { packZip } from '../formats/zip-write.ts';
import type { Context } from '../ports.ts';
import { bodyOf, treeBelow } from '../transfers/copy-directory-to-sandbox.ts';
import { getSkill, type OwnedSkill } from './get-skill.ts';
import { skillLimits } from './limits.ts';

/** A skill's files as a zip, made as it is read. Throws not_found, and payload_too_large for one that has grown past skillLimits since. */
export const packSkill = async (
  ctx: Context,
  skillId: string,
): Promise<{ skill: OwnedSkill; body: ReadableStream<Uint8Array> }> => {
  const skill = await getSkill(ctx, skillId);
  const files = await treeBelow(ctx, skill.diskId, '/');
  const contentBytes = files.reduce((sum, { artifact }) => sum + artifact.sizeBytes, 0);
  if (files.length > skillLimits.filesCount || contentBytes > skillLimits.contentBytes) {
    throw new ServiceError(
      'payload_too_large',
      `A skill is packed up to ${skillLimits.filesCount} files and ${skillLimits.contentBytes} bytes: fetch its files one by one.`,
    );
  }
  const entries = files.map(({ path, artifact }) => ({
    path,
    modifiedAtMs: artifact.updatedAtMs,
    body: bodyOf(ctx, artifact),
  }));
  return { skill, body: packZip(entries) };
};
