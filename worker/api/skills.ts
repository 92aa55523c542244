import { lasting } from '../core/lasting.ts';
import { skillRoutes } from '../contract/skills.ts';
import { createSkill, stageSkillZip } from '../core/skills/create-skill.ts';
import { deleteSkill } from '../core/skills/delete-skill.ts';
import { getSkill, getSkillFile, listSkillFiles } from '../core/skills/get-skill.ts';
import { listSkills } from '../core/skills/list-skills.ts';
import { mountSkill } from '../core/skills/mount-skill.ts';
import { packSkill } from '../core/skills/pack-skill.ts';
import { ServiceError } from '../core/errors.ts';
import type { Context } from '../core/ports.ts';
import type { App } from './app-env.ts';
import { answerArtifact } from './artifact-bytes.ts';
import { contextOf } from './context.ts';
import { contentOf } from './request-bytes.ts';
import { contentHeaders } from './response-bytes.ts';
import { timestampOf } from './timestamp.ts';

type Skill = Awaited<ReturnType<typeof getSkill>>;

const viewSkill = (skill: Skill) => ({
  id: skill.id,
  name: skill.name,
  description: skill.description,
  user: skill.user,
  diskId: skill.diskId,
  metadata: skill.metadata,
  createdAt: timestampOf(skill.createdAtMs),
  updatedAt: timestampOf(skill.updatedAtMs),
});

const viewWithFiles = async (ctx: Context, skill: Skill) => ({
  ...viewSkill(skill),
  files: await listSkillFiles(ctx, skill),
});

/** What `curl -F` sends: read as a zip, it would be told that it is none. */
const requireNoForm = (contentType = ''): void => {
  if (!/^(multipart\/|application\/x-www-form-urlencoded)/i.test(contentType)) return;
  throw new ServiceError(
    'invalid_argument',
    'The body is the zip itself, not a form: curl --data-binary @skill.zip -H "Content-Type: application/zip".',
  );
};

export const registerSkills = (app: App): void => {
  app.openapi(skillRoutes.create, async (c) => {
    requireNoForm(c.req.header('content-type'));
    const ctx = contextOf(c);
    const { user, metadata = null } = c.req.valid('query');
    const { content, contentBytes } = contentOf(c);
    const staged = stageSkillZip(ctx, content, contentBytes);
    const created = staged.then((zip) => createSkill(ctx, { zip, user, metadata }));
    const skill = await lasting(ctx, created);
    c.header('location', `/v1/skills/${skill.id}`);
    return c.json(await viewWithFiles(ctx, skill), 201);
  });

  app.openapi(skillRoutes.list, async (c) => {
    const { user, order, cursor, limit } = c.req.valid('query');
    const { skills, nextCursor } = await listSkills(contextOf(c), { user, order, cursor, limit });
    return c.json({ skills: skills.map(viewSkill), nextCursor }, 200);
  });

  app.openapi(skillRoutes.get, async (c) => {
    const ctx = contextOf(c);
    return c.json(await viewWithFiles(ctx, await getSkill(ctx, c.req.valid('param').skillId)), 200);
  });

  app.openapi(skillRoutes.delete, async (c) => {
    await deleteSkill(contextOf(c), c.req.valid('param').skillId);
    return c.body(null, 204);
  });

  app.openapi(skillRoutes.readFile, async (c) => {
    const ctx = contextOf(c);
    const file = await getSkillFile(ctx, c.req.valid('param').skillId, c.req.valid('query').path);
    return answerArtifact(c, ctx, ctx.actor.tenant.id, file);
  });

  app.openapi(skillRoutes.pack, async (c) => {
    const { skill, body } = await packSkill(contextOf(c), c.req.valid('param').skillId);
    return new Response(body, { headers: contentHeaders('application/zip', `${skill.name}.zip`) });
  });

  app.openapi(skillRoutes.mount, async (c) =>
    c.json(await mountSkill(contextOf(c), c.req.valid('param').skillId, c.req.valid('json').sandboxId), 200),
  );
};
