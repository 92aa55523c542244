import { createRoute, z } from '@hono/zod-openapi';
import { cursorQuery, errorResponses, jsonBody, jsonContent, nextCursor, timestamp } from './common.ts';

const base = '/v1/skills';
const tags = ['skills'];

/** Any string gets as far as the lookup, so that a malformed id is answered as a missing one: 404. */
const skillParams = z.object({
  skillId: z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: 'skillId', in: 'path' }, example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
});

const bytes = (type: string) => ({ [type]: { schema: { type: 'string' as const, format: 'binary' } } });

const userQuery = z
  .string()
  .min(1)
  .max(1024)
  .optional()
  .openapi({ description: 'Whom it belongs to, by your own identifier. A user comes to be on first use.' });

const metadataBytes = 16 * 1024;
const metadataObject = z.record(z.string(), z.unknown());

const metadataQuery = z
  .string()
  .max(metadataBytes, `metadata is at most ${metadataBytes} characters of JSON`)
  .transform((text, context) => {
    const metadata = metadataObject.safeParse(jsonOf(text));
    if (metadata.success) return metadata.data;
    context.addIssue({ code: 'custom', message: 'metadata is the JSON of an object' });
    return z.NEVER;
  })
  .optional()
  .openapi({ type: 'string', description: 'A JSON object of your own, at most 16 KiB.', example: '{"team":"data"}' });

/** Undefined, which no schema takes, for what is not JSON. */
const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const skillFields = {
  id: z.string().openapi({ example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' }),
  name: z.string().openapi({ description: 'From SKILL.md.', example: 'pdf-forms' }),
  description: z.string().openapi({ description: 'From SKILL.md: when to use it.' }),
  user: z.string().nullable(),
  diskId: z.string().openapi({ description: 'Its files are artifacts of this disk, which goes with the skill.' }),
  metadata: metadataObject.nullable(),
  createdAt: timestamp,
  updatedAt: timestamp,
};
const skillView = z.object(skillFields).openapi('Skill');
const skillFile = z.object({ path: z.string(), contentType: z.string(), sizeBytes: z.int().min(0) });
const skillWithFiles = z
  .object({ ...skillFields, files: z.array(skillFile).openapi({ description: 'By path, the first 1,000.' }) })
  .openapi('SkillWithFiles');

const createSkillRoute = createRoute({
  method: 'post',
  path: base,
  operationId: 'createSkill',
  tags,
  summary: 'Create a skill from a zip',
  description: `Instructions and files for an agent. The zip has a SKILL.md at its top, or in its one top directory, whose front matter (YAML) says \`name\`
and \`description\`. At most 50 MiB, 200 files, and 50 MiB of content.`,
  request: {
    query: z.strictObject({ user: userQuery, metadata: metadataQuery }),
    body: { required: true as const, content: bytes('application/zip') },
  },
  responses: { 201: { description: 'Created.', ...jsonContent(skillWithFiles) }, ...errorResponses([413]) },
});

const listSkillsRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listSkills',
  tags,
  summary: 'List skills',
  request: {
    query: z.strictObject({
      user: userQuery,
      order: z.enum(['asc', 'desc']).default('desc').openapi({ description: 'By time of creation.' }),
      ...cursorQuery,
    }),
  },
  responses: {
    200: { description: 'Skills.', ...jsonContent(z.object({ skills: z.array(skillView), nextCursor })) },
    ...errorResponses(),
  },
});

const getSkillRoute = createRoute({
  method: 'get',
  path: `${base}/{skillId}`,
  operationId: 'getSkill',
  tags,
  summary: 'Get a skill and the list of its files',
  request: { params: skillParams },
  responses: { 200: { description: 'The skill.', ...jsonContent(skillWithFiles) }, ...errorResponses([404]) },
});

const deleteSkillRoute = createRoute({
  method: 'delete',
  path: `${base}/{skillId}`,
  operationId: 'deleteSkill',
  tags,
  summary: 'Delete a skill',
  description: 'Sandboxes keep what was mounted.',
  request: { params: skillParams },
  responses: { 204: { description: 'It and its disk are gone.' }, ...errorResponses([404]) },
});

const readSkillFileRoute = createRoute({
  method: 'get',
  path: `${base}/{skillId}/files/content`,
  operationId: 'readSkillFile',
  tags,
  summary: 'Read a file of a skill',
  description: 'As an artifact is read: with Range, ETag and If-None-Match.',
  request: {
    params: skillParams,
    query: z.strictObject({
      path: z.string().min(1).max(1024).openapi({ description: 'As in the list of files.', example: 'SKILL.md' }),
    }),
    headers: z.object({
      range: z.string().max(256).optional().openapi({ example: 'bytes=0-1023' }),
      'if-range': z.string().max(256).optional().openapi({ description: 'An ETag: if it has changed, all is sent.' }),
      'if-none-match': z.string().max(4096).optional(),
    }),
  },
  responses: {
    200: { description: 'The file.', content: bytes('application/octet-stream') },
    206: { description: 'The range.', content: bytes('application/octet-stream') },
    304: { description: 'It is still what the ETag names.' },
    ...errorResponses([404, 416]),
  },
});

const packSkillRoute = createRoute({
  method: 'get',
  path: `${base}/{skillId}/archive`,
  operationId: 'readSkillArchive',
  tags,
  summary: 'Download a skill as a zip',
  description: 'A stream that was cut fails; it never just ends.',
  request: { params: skillParams },
  responses: {
    200: { description: 'The zip.', content: bytes('application/zip') },
    ...errorResponses([404, 409, 413]),
  },
});

const mountSkillRoute = createRoute({
  method: 'post',
  path: `${base}/{skillId}/mount`,
  operationId: 'mountSkill',
  tags,
  summary: 'Put a skill into a sandbox',
  description:
    'Its files come to lie below `/skills/<name>`, owned by root. That directory must not be there yet: 409. After a failure it is not.',
  request: {
    params: skillParams,
    body: jsonBody(z.strictObject({ sandboxId: z.string().min(1).max(256) }).openapi('MountSkillRequest')),
  },
  responses: {
    200: {
      description: 'Mounted.',
      ...jsonContent(
        z
          .object({
            name: z.string(),
            description: z.string(),
            dirPath: z.string().openapi({ example: '/skills/pdf-forms' }),
          })
          .openapi('MountedSkill'),
      ),
    },
    ...errorResponses([404, 409, 410, 502, 507]),
  },
});

export const skillRoutes = {
  create: createSkillRoute,
  list: listSkillsRoute,
  get: getSkillRoute,
  delete: deleteSkillRoute,
  readFile: readSkillFileRoute,
  pack: packSkillRoute,
  mount: mountSkillRoute,
};
