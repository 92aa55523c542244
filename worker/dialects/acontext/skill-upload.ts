import { contentOf } from '../../api/request-bytes.ts';
import { multipartBounds, readMultipart, readText } from '../../core/formats/multipart.ts';
import { unstage, type StagedBlob } from '../../core/artifacts/stage-bytes.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';
import { stageSkillZip } from '../../core/skills/create-skill.ts';
import { skillLimits } from '../../core/skills/limits.ts';
import { userField } from './disks.ts';
import { parseMeta } from './meta.ts';
import type { Handled } from './route.ts';

export interface SkillUpload {
  zip: StagedBlob;
  user: string | undefined;
  metadata: Record<string, unknown> | null;
}

interface Form {
  user: string;
  meta: string;
  zip: StagedBlob | undefined;
}

const bounds = { ...multipartBounds, fileBytesMax: skillLimits.zipBytes, duplicateNames: 'refused' as const };

/** The form of a new skill, in any order of its parts; its file is staged while it is read. Nothing stays staged when this throws. */
export const readSkillUpload = async (c: Handled, ctx: Context): Promise<SkillUpload> => {
  const form: Form = { user: '', meta: '', zip: undefined };
  try {
    await readForm(c, ctx, form);
    if (form.zip === undefined) throw new ServiceError('invalid_argument', 'file is required');
    const user = userField.safeParse(form.user);
    if (!user.success) throw new ServiceError('invalid_argument', 'a user identifier has at most 1024 characters');
    return { zip: form.zip, user: user.data, metadata: form.meta === '' ? null : parseMeta(form.meta) };
  } catch (error) {
    if (form.zip) unstage(ctx, [form.zip.blobId]);
    throw error;
  }
};

const readForm = async (c: Handled, ctx: Context, form: Form): Promise<void> => {
  const { content: body } = contentOf(c);
  for await (const part of readMultipart(c.req.header('content-type'), body, bounds)) {
    if (part.name === 'user') form.user = await readText(part, multipartBounds.fieldBytesMax);
    if (part.name === 'meta') form.meta = await readText(part, multipartBounds.fieldBytesMax);
    if (part.name === 'file' && part.filename !== undefined) form.zip = await stageSkillZip(ctx, part.body, null);
  }
};
