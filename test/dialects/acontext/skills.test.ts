import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openZip, zipBounds } from '../../../worker/core/formats/zip-read.ts';
import { manifest, zipOf } from '../../disks/skill-zip.ts';
import { installation } from '../../installation.ts';
import { acontextKeyOf, createAcontext, failure, failureOf, type Acontext, type Answer } from './client.ts';
import { formOf } from './form.ts';

interface Skill {
  id: string;
  user_id: string | null;
  name: string;
  description: string;
  disk_id: string;
  file_index: { path: string; mime: string }[];
  meta: Record<string, unknown> | null;
}

let acontext: Acontext;
beforeAll(async () => {
  acontext = await createAcontext();
});
afterAll(() => acontext.cleanUp());

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const missing = '00000000-0000-4000-8000-000000000000';
const base = '/agent_skills';

const upload = (zip: Uint8Array, fields: Record<string, string> = {}, to = acontext): Promise<Answer> => {
  const { body, type } = formOf([
    ...Object.entries(fields).map(([name, value]) => ({ name, value })),
    { name: 'file', value: zip, filename: 'skill.zip', type: 'application/zip' },
  ]);
  return to.send('POST', base, { body, type });
};

const create = async (files: Record<string, string | Uint8Array>, fields: Record<string, string> = {}) => {
  const answer = await upload(await zipOf(files), fields);
  if (answer.status !== 201) throw new Error(`${answer.status}: ${answer.text}`);
  return answer.body.data as Skill;
};

test('a skill is made from a form, told with the index of its files, listed and deleted', async () => {
  const zip = { 'top/SKILL.md': manifest('from a form', 'd'), 'top/a/b.py': 'print(1)\n', 'top/c.png': '\u0089PNG\0' };
  const skill = await create(zip, { user: 'a/b@c', meta: '{"k": {"v": 1}}' });
  expect(skill).toMatchObject({
    id: expect.stringMatching(uuid) as string,
    user_id: expect.stringMatching(uuid) as string,
    disk_id: expect.stringMatching(uuid) as string,
    name: 'from-a-form',
    description: 'd',
    meta: { k: { v: 1 } },
    file_index: [
      { path: 'SKILL.md', mime: 'text/markdown; charset=utf-8' },
      { path: 'c.png' },
      { path: 'a/b.py', mime: 'text/x-python; charset=utf-8' },
    ],
  });
  expect(await acontext.data(200, 'GET', `${base}/${skill.id}`)).toEqual(skill);
  expect(await create({ 'SKILL.md': manifest('bare') })).toMatchObject({ user_id: null, meta: null });

  const { file_index: _, ...item } = skill;
  const list = (query: string) => acontext.data<Record<string, unknown>>(200, 'GET', `${base}?${query}`);
  expect(await list('user=a%2Fb%40c&limit=100')).toEqual({ items: [item], has_more: false });
  expect(await list('user=nobody&limit=100')).toEqual({ items: [], has_more: false });
  const page = await list('limit=1');
  expect(page).toMatchObject({ items: [{ name: 'from-a-form' }], has_more: true });
  expect(await list(`limit=1&cursor=${String(page.next_cursor)}`)).toMatchObject({ items: [{ name: 'bare' }] });
  expect(await list('limit=1&time_desc=true')).toMatchObject({ items: [{ name: 'bare' }] });
  expect(await acontext.data(200, 'GET', '/user/a%2Fb%40c/resources')).toMatchObject({ counts: { skills_count: 1 } });

  expect((await acontext.send('DELETE', `${base}/${skill.id}`)).body).toEqual({ code: 0, msg: '' });
  expect(failureOf(await acontext.send('GET', `${base}/${skill.id}`))).toEqual(failure(404, /no skill/));
});

test('a file is told by its content where that is text, and by a URL that needs no key where it is not', async () => {
  const blob = randomBytes(1000);
  const skill = await create({ 'SKILL.md': manifest('files'), 'd/x.json': '{"a": 1}', 'bad.json': '{', blob: blob });
  const file = (path: string, query = '') =>
    acontext.data<{ url?: string }>(
      200,
      'GET',
      `${base}/${skill.id}/file?file_path=${encodeURIComponent(path)}${query}`,
    );
  expect(await file('SKILL.md')).toEqual({
    path: 'SKILL.md',
    mime: 'text/markdown; charset=utf-8',
    content: { type: 'text', raw: manifest('files') },
  });
  expect(await file('d/x.json')).toMatchObject({ content: { type: 'json', raw: '{"a": 1}' } });
  expect(await file('bad.json')).toMatchObject({ url: expect.any(String) as string });
  const { url = '' } = await file('blob', '&expire=60');
  expect(url.startsWith(`${installation().url}/api/v1/material/`)).toBe(true);
  expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(blob)).toBe(true);
  const answer = await acontext.send('GET', `${base}/${skill.id}/file?file_path=none`);
  expect(failureOf(answer)).toEqual(failure(404, /The skill has no file none\./));
  expect((await acontext.send('GET', `${base}/${skill.id}/file`)).status).toBe(400);
});

test('a skill comes back as a zip', async () => {
  const skill = await create({ 'SKILL.md': manifest('zipped'), 'a/ö.txt': 'ö' });
  const response = await fetch(`${installation().url}/api/v1${base}/${skill.id}/download_zip`, {
    headers: { authorization: `Bearer ${acontextKeyOf(acontext.tenant.key)}` },
  });
  expect(response.headers.get('content-type')).toBe('application/zip');
  const zip = new Uint8Array(await response.arrayBuffer());
  const read = async (offset: number, length: number) => zip.subarray(offset, offset + length);
  const { entries } = await openZip({ sizeBytes: zip.length, read }, zipBounds);
  const contents = entries.map(async (entry) => [entry.path, await new Response(entry.body()).text()]);
  expect(await Promise.all(contents)).toEqual([
    ['SKILL.md', manifest('zipped')],
    ['a/ö.txt', 'ö'],
  ]);
});

test('mounting tells the directory, makes it once, and lets commands read it', async () => {
  const skill = await create({ 'SKILL.md': manifest('mounted one', 'When to use it'), 'run.sh': 'echo ran\n' });
  const { sandbox_id } = await acontext.data<{ sandbox_id: string }>(201, 'POST', '/sandbox');
  const path = `${base}/${skill.id}/download_to_sandbox`;
  expect(await acontext.data(200, 'POST', path, { sandbox_id })).toEqual({
    success: true,
    dir_path: '/skills/mounted-one',
    name: 'mounted-one',
    description: 'When to use it',
  });
  const command = 'bash /skills/mounted-one/run.sh && ls /skills/mounted-one';
  expect(await acontext.data(200, 'POST', `/sandbox/${sandbox_id}/exec`, { command })).toMatchObject({
    stdout: 'ran\nSKILL.md\nrun.sh\n',
    exit_code: 0,
  });
  const again = await acontext.send('POST', path, { json: { sandbox_id } });
  expect(failureOf(again)).toEqual(failure(409, /\/skills\/mounted-one/));
  const gone = await acontext.send('POST', path, { json: { sandbox_id: missing } });
  expect(failureOf(gone)).toEqual(failure(404, /^sandbox not found or was killed$/));
  const none = await acontext.send('POST', `${base}/${missing}/download_to_sandbox`, { json: { sandbox_id } });
  expect(failureOf(none)).toEqual(failure(404, /no skill/));
  expect(failureOf(await acontext.send('POST', path, { json: { sandbox_id: 'x' } }))).toEqual(
    failure(400, /^invalid sandbox_id$/),
  );
});

describe('what is refused', () => {
  test('forms without a file, without a skill in it, with bad meta, and larger ones than are taken', async () => {
    const { body, type } = formOf([{ name: 'user', value: 'x' }]);
    expect(failureOf(await acontext.send('POST', base, { body, type }))).toEqual(failure(400, /^file is required$/));
    expect(failureOf(await upload(new Uint8Array(10)))).toEqual(failure(400, /zip/));
    expect(failureOf(await upload(await zipOf({ 'README.md': 'x' })))).toEqual(failure(400, /SKILL\.md/));
    const zip = await zipOf({ 'SKILL.md': manifest('fine') });
    expect(failureOf(await upload(zip, { meta: '[]' }))).toEqual(failure(400, /^invalid meta JSON format$/));
    expect(failureOf(await upload(zip, { user: 'x'.repeat(1025) }))).toEqual(failure(400, /user/));
    const large = await upload(new Uint8Array(50 * 1024 * 1024 + 1));
    expect(failureOf(large)).toEqual(failure(413, /more than 52428800 bytes/));
  });

  test('ids that are none, and another tenant’s skill, as a missing one', async () => {
    const other = await createAcontext();
    const { id } = await create({ 'SKILL.md': manifest('own') });
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/file?file_path=SKILL.md'],
      ['GET', '/download_zip'],
    ] as const) {
      const said = async (skillId: string) => {
        const { status, body } = await other.send(method, `${base}/${skillId}${path}`);
        return { status, ...body, msg: body.msg?.replace(skillId, '<skill>') };
      };
      expect(await said(id)).toMatchObject({ status: 404, code: 404 });
      expect(await said(id)).toEqual(await said(missing));
      expect(await said('nonsense')).toEqual({ status: 400, code: 400, msg: 'invalid skill_id' });
    }
    expect((await acontext.send('GET', `${base}/${id}`)).status).toBe(200);
    await other.cleanUp();
  });
});
