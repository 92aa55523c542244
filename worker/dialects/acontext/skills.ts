import { z } from 'zod';
import { contextOf } from '../../api/context.ts';
import { contentHeaders } from '../../api/response-bytes.ts';
import { timestampOf } from '../../api/timestamp.ts';
import { createMaterial } from '../../core/artifacts/material.ts';
import { lasting } from '../../core/lasting.ts';
import type { Context } from '../../core/ports.ts';
import { createSkill } from '../../core/skills/create-skill.ts';
import { deleteSkill } from '../../core/skills/delete-skill.ts';
import { getSkill, getSkillFile, listSkillFiles } from '../../core/skills/get-skill.ts';
import { listSkills } from '../../core/skills/list-skills.ts';
import { mountSkill } from '../../core/skills/mount-skill.ts';
import { packSkill } from '../../core/skills/pack-skill.ts';
import { readParsedContent } from './artifact-content.ts';
import { userField } from './disks.ts';
import { succeed } from './envelope.ts';
import { fromUuid, pathId, toUuid } from './ids.ts';
import { materialUrl } from './material.ts';
import { viewPage } from './page-view.ts';
import { pageQuery, readJson, readQuery } from './read-input.ts';
import type { AcontextRoute, Handled } from './route.ts';
import { inSandbox } from './sandbox.ts';
import { readSkillUpload } from './skill-upload.ts';

type Skill = Awaited<ReturnType<typeof getSkill>>;

const viewSkill = (skill: Skill) => ({
  id: toUuid(skill.id),
  user_id: skill.userId === null ? null : toUuid(skill.userId),
  name: skill.name,
  description: skill.description,
  disk_id: toUuid(skill.diskId),
  meta: skill.metadata,
  created_at: timestampOf(skill.createdAtMs),
  updated_at: timestampOf(skill.updatedAtMs),
});

const viewWithIndex = async (ctx: Context, skill: Skill) => ({
  ...viewSkill(skill),
  file_index: (await listSkillFiles(ctx, skill)).map(({ path, contentType }) => ({ path, mime: contentType })),
});

const create = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const created = readSkillUpload(c, ctx).then((upload) => createSkill(ctx, upload));
  const skill = await lasting(ctx, created);
  return succeed(c, 201, await viewWithIndex(ctx, skill));
};

const list = async (c: Handled): Promise<Response> => {
  const { user, limit, cursor, time_desc: newestFirst } = readQuery(c, pageQuery.extend({ user: userField }));
  const order = newestFirst ? 'desc' : 'asc';
  const { skills, nextCursor } = await listSkills(contextOf(c), { user, order, cursor, limit });
  return succeed(c, 200, viewPage(skills.map(viewSkill), nextCursor));
};

const get = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  return succeed(c, 200, await viewWithIndex(ctx, await getSkill(ctx, pathId(c, 'skill_id'))));
};

const remove = async (c: Handled): Promise<Response> => {
  await deleteSkill(contextOf(c), pathId(c, 'skill_id'));
  return succeed(c, 200);
};

const fileQuery = z.object({
  file_path: z.string().min(1).max(1024),
  expire: z.coerce.number().int().default(900),
});

/** Its content where Acontext parses such a file, else a URL that needs no key. */
const file = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const { file_path: path, expire } = readQuery(c, fileQuery);
  const artifact = await getSkillFile(ctx, pathId(c, 'skill_id'), path);
  const content = await readParsedContent(ctx, artifact);
  const what = content ? { content } : { url: materialUrl(ctx, await createMaterial(ctx, artifact, expire)) };
  return succeed(c, 200, { path, mime: artifact.contentType, ...what });
};

const downloadZip = async (c: Handled): Promise<Response> => {
  const { skill, body } = await packSkill(contextOf(c), pathId(c, 'skill_id'));
  return new Response(body, { headers: contentHeaders('application/zip', `${skill.name}.zip`) });
};

const mountBody = z.object({ sandbox_id: z.string().min(1).max(64) });

const downloadToSandbox = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const { id } = await getSkill(ctx, pathId(c, 'skill_id'));
  const sandboxId = fromUuid((await readJson(c, mountBody)).sandbox_id, 'sandbox_id');
  const { dirPath, name, description } = await inSandbox(() => mountSkill(ctx, id, sandboxId));
  return succeed(c, 200, { success: true, dir_path: dirPath, name, description });
};

const base = '/agent_skills';

export const skillRoutes: readonly AcontextRoute[] = [
  { method: 'POST', path: base, body: 'stream', handler: create },
  { method: 'GET', path: base, body: 'none', handler: list },
  { method: 'GET', path: `${base}/{skill_id}`, body: 'none', handler: get },
  { method: 'DELETE', path: `${base}/{skill_id}`, body: 'none', handler: remove },
  { method: 'GET', path: `${base}/{skill_id}/file`, body: 'none', handler: file },
  { method: 'GET', path: `${base}/{skill_id}/download_zip`, body: 'none', handler: downloadZip },
  { method: 'POST', path: `${base}/{skill_id}/download_to_sandbox`, body: 'json', handler: downloadToSandbox },
];
