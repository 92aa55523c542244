import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openZip, zipBounds } from '../../worker/core/formats/zip-read.ts';
import { rawZip, type RawEntry } from '../core/formats/support/raw-zip.ts';
import { errorOf, TestSandbox } from '../exec/calls.ts';
import { createTenant, installation, type TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { manifest, zipOf } from './skill-zip.ts';

interface Skill {
  id: string;
  name: string;
  description: string;
  user: string | null;
  diskId: string;
  metadata: Record<string, unknown> | null;
  files: { path: string; contentType: string; sizeBytes: number }[];
}

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await createTenant();
});
afterAll(() => tenant.cleanUp());

const send = (zip: BodyInit, query = '', to = tenant): Promise<Response> =>
  to.api(`/v1/skills${query}`, { method: 'POST', body: zip, headers: { 'content-type': 'application/zip' } });

const create = async (zip: BodyInit, query = '', to = tenant): Promise<Skill> => {
  const response = await send(zip, query, to);
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Skill;
};

const refused = async (zip: BodyInit, query = '', to = tenant) => errorOf(await send(zip, query, to));

const sizeOf = (text: string): number => Buffer.byteLength(text);

describe('a skill', () => {
  test('is made from a zip, told with its files, and read, packed and deleted', async () => {
    const blob = randomBytes(3_000_000);
    const files = {
      'SKILL.md': manifest('whole thing', 'Does it all, é'),
      'scripts/run.py': 'print(1)\n',
      'data/deep/blob.bin': blob,
      empty: '',
    };
    const skill = await create(await zipOf(files), `?user=someone%2Felse&metadata=${encodeURIComponent('{"a":[1]}')}`);
    expect(skill).toMatchObject({
      name: 'whole-thing',
      description: 'Does it all, é',
      user: 'someone/else',
      metadata: { a: [1] },
      files: [
        { path: 'SKILL.md', contentType: 'text/markdown; charset=utf-8', sizeBytes: sizeOf(files['SKILL.md']) },
        { path: 'empty', sizeBytes: 0 },
        { path: 'data/deep/blob.bin', contentType: 'application/octet-stream', sizeBytes: 3_000_000 },
        { path: 'scripts/run.py', contentType: 'text/x-python; charset=utf-8', sizeBytes: 9 },
      ],
    });
    const path = `/v1/skills/${skill.id}`;
    expect(await tenant.json(path)).toEqual(skill);

    const file = await tenant.api(`${path}/files/content?path=data/deep/blob.bin`);
    expect(Buffer.from(await file.arrayBuffer()).equals(blob)).toBe(true);
    expect(await errorOf(await tenant.api(`${path}/files/content?path=data/none`))).toMatchObject({
      status: 404,
      message: 'The skill has no file data/none.',
    });
    const range = { headers: { range: 'bytes=0-4' } };
    expect(await (await tenant.api(`${path}/files/content?path=scripts/run.py`, range)).text()).toBe('print');

    const archive = await tenant.api(`${path}/archive`);
    expect(archive.headers.get('content-type')).toBe('application/zip');
    expect(archive.headers.get('content-disposition')).toContain('whole-thing.zip');
    expect(await unzipped(new Uint8Array(await archive.arrayBuffer()))).toEqual(
      Object.fromEntries(Object.entries(files).map(([name, content]) => [name, Buffer.from(content).toString('hex')])),
    );

    const { disks } = await tenant.json<{ disks: { id: string }[] }>('/v1/disks?limit=100');
    expect(disks.map(({ id }) => id)).not.toContain(skill.diskId);
    await tenant.json(path, { method: 'DELETE', status: 204 });
    expect((await tenant.api(path)).status).toBe(404);
    expect((await tenant.api(`/v1/disks/${skill.diskId}`)).status).toBe(404);
    expect((await tenant.api(path, { method: 'DELETE' })).status).toBe(404);
  });

  test('may lie in the one top directory of its zip, among what file managers leave there', async () => {
    const skill = await create(
      await zipOf({
        'my skill/skill.md': manifest('in-a-directory'),
        'my skill/sub/a.txt': 'a',
        'my skill/.DS_Store': 'x',
        '__MACOSX/my skill/._skill.md': 'x',
      }),
    );
    expect(skill.files.map(({ path }) => path)).toEqual(['skill.md', 'sub/a.txt']);
    expect(skill).toMatchObject({ user: null, metadata: null });
  });

  test('that comes as a form is refused, and told how it comes', async () => {
    const form = new FormData();
    form.set('file', new Blob([await zipOf({ 'SKILL.md': manifest('form') })]), 'skill.zip');
    const answer = await errorOf(await tenant.api('/v1/skills', { method: 'POST', body: form }));
    expect(answer).toMatchObject({ status: 400, code: 'invalid_argument' });
    expect(answer.message).toContain('--data-binary');
  });

  test('is another tenant’s as little as a missing one', async () => {
    const { id } = await create(await zipOf({ 'SKILL.md': manifest('mine') }));
    const stranger = await createTenant();
    const missing = `${id.slice(0, -4)}${id.endsWith('0000') ? '1111' : '0000'}`;
    const said = async (skillId: string, path: string, init: RequestInit & { json?: unknown } = {}) => {
      const { message, ...rest } = await errorOf(await stranger.api(`/v1/skills/${skillId}${path}`, init));
      return { ...rest, message: message.replace(skillId, '<skill>') };
    };
    for (const [path, init] of [
      ['', {}],
      ['', { method: 'DELETE' }],
      ['/files/content?path=SKILL.md', {}],
      ['/archive', {}],
      ['/mount', { method: 'POST', json: { sandboxId: 'x' } }],
    ] as [string, RequestInit & { json?: unknown }][]) {
      const foreign = await said(id, path, init);
      expect(foreign).toMatchObject({ status: 404, code: 'not_found' });
      expect(foreign).toEqual(await said(missing, path, init));
      expect(foreign).toEqual(await said('nonsense', path, init));
    }
    expect((await tenant.api(`/v1/skills/${id}`)).status).toBe(200);
  });

  test('goes with its user', async () => {
    const { id } = await create(await zipOf({ 'SKILL.md': manifest('of-a-user') }), '?user=leaving');
    await tenant.json('/v1/users/leaving', { method: 'DELETE', status: 204 });
    expect((await tenant.api(`/v1/skills/${id}`)).status).toBe(404);
  });
});

test('lists are of a user or of all, in either order, page by page', async () => {
  const own = await createTenant();
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) {
    await create(await zipOf({ 'SKILL.md': manifest(name) }), name < 'c' ? '?user=u' : '', own);
  }
  const list = async (query: string) => {
    const page = await own.json<{ skills: Skill[]; nextCursor: string | null }>(`/v1/skills?${query}`);
    return { names: page.skills.map(({ name }) => name), cursor: page.nextCursor };
  };
  expect(await list('')).toEqual({ names: ['d', 'c', 'b', 'a'], cursor: null });
  const first = await list('order=asc&limit=3');
  expect(first.names).toEqual(['a', 'b', 'c']);
  expect(await list(`order=asc&limit=3&cursor=${first.cursor}`)).toEqual({ names: ['d'], cursor: null });
  expect((await list('user=u&order=asc')).names).toEqual(['a', 'b']);
  expect((await list('user=nobody')).names).toEqual([]);
  expect((await own.api('/v1/skills?cursor=nonsense')).status).toBe(400);
});

describe('a zip that is no skill is refused and leaves nothing', () => {
  const skillMd: RawEntry = { name: 'SKILL.md', body: manifest('bad') };
  const many = Array.from({ length: 200 }, (_, index): RawEntry => ({ name: `f${index}`, body: 'x' }));
  const bomb = '\0'.repeat(51 * 1024 * 1024);

  test.each<[string, () => RawEntry[], number, RegExp]>([
    ['no SKILL.md', () => [{ name: 'README.md' }], 400, /no SKILL\.md/],
    ['SKILL.md in one of two directories', () => [{ name: 'a/SKILL.md' }, { name: 'b/x' }], 400, /no SKILL\.md/],
    ['SKILL.md further down', () => [{ name: 'a/b/SKILL.md' }], 400, /no SKILL\.md/],
    ['no front matter', () => [{ name: 'SKILL.md', body: '# hello' }], 400, /front matter/],
    ['bad YAML', () => [{ name: 'SKILL.md', body: '---\nname: [\n---\n' }], 400, /YAML/],
    ['no name', () => [{ name: 'SKILL.md', body: '---\ndescription: d\n---\n' }], 400, /no name/],
    ['no description', () => [{ name: 'SKILL.md', body: '---\nname: n\n---\n' }], 400, /no description/],
    ['a name that leads elsewhere', () => [{ name: 'SKILL.md', body: manifest('..') }], 400, /name/],
    ['a path upwards', () => [skillMd, { name: '../up' }], 400, /outside/],
    ['an absolute path', () => [skillMd, { name: '/etc/x' }], 400, /absolute/],
    ['a symlink', () => [skillMd, { name: 'link', body: '/etc/passwd', mode: 0o120777 }], 400, /symlink/],
    ['a control character in a name', () => [skillMd, { name: 'a\nb' }], 400, /control/],
    ['201 files', () => [skillMd, ...many], 413, /more than 200 files/],
    ['51 MiB of content', () => [skillMd, { name: 'bomb', body: bomb }], 413, /bytes of content/],
    ['more content than it says', () => [skillMd, { name: 'bomb', body: bomb, sizeBytes: 1 }], 400, /damaged/],
    ['a wrong checksum', () => [skillMd, { name: 'a', body: 'a', crc: 1 }], 400, /damaged/],
  ])('%s', async (_, entries, status, sentence) => {
    const own = await createTenant();
    const answer = await refused(new Uint8Array(rawZip(entries())), '?user=nobody', own);
    expect(answer).toMatchObject({ status, message: expect.stringMatching(sentence) as string });
    expect(await own.json('/v1/skills')).toEqual({ skills: [], nextCursor: null });
    expect(await own.json('/v1/users')).toMatchObject({ users: [] });
  });

  test('what is no zip at all, is empty, or is larger than 50 MiB', async () => {
    expect(await refused('nonsense')).toMatchObject({ status: 400, code: 'invalid_argument' });
    expect(await refused('')).toMatchObject({ status: 400, code: 'invalid_argument' });
    expect(await statusOfAnnounced(50 * 1024 * 1024 + 1)).toBe(413);
    const large = new Uint8Array(50 * 1024 * 1024 + 1);
    const init = { method: 'POST', body: new Blob([large]).stream(), duplex: 'half' } as RequestInit;
    expect((await tenant.api('/v1/skills', { ...init, headers: { 'content-type': 'application/zip' } })).status).toBe(
      413,
    );
  });

  test('metadata that is no object, and parameters there are none of', async () => {
    const zip = await zipOf({ 'SKILL.md': manifest('fine') });
    for (const query of ['?metadata=nonsense', '?metadata=[]', '?user=', `?user=${'x'.repeat(1025)}`, '?bogus=1']) {
      expect([query, (await send(zip, query)).status]).toEqual([query, 400]);
    }
  });

  test('past the tenant’s storage', async () => {
    const poor = await createTenant({ maxStorageBytes: 1000 });
    const zip = await zipOf({ 'SKILL.md': manifest('large'), blob: randomBytes(2000) });
    expect(await refused(zip, '', poor)).toMatchObject({ status: 429, code: 'quota_exceeded' });
    expect(await poor.json('/v1/skills')).toEqual({ skills: [], nextCursor: null });
    expect(await create(await zipOf({ 'SKILL.md': manifest('small') }), '', poor)).toMatchObject({ name: 'small' });
  });
});

describe('mounting', () => {
  const mount = (skillId: string, sandboxId: string) =>
    tenant.api(`/v1/skills/${skillId}/mount`, { method: 'POST', json: { sandboxId } });

  test('puts the files below /skills/<name>, root’s and readable by all, once', async () => {
    const { id } = await tenant.createSandbox({});
    const sandbox = new TestSandbox(tenant, id);
    const skill = await create(
      await zipOf({ 'SKILL.md': manifest("it's $(touch /tmp/x) ünd", 'd'), 'a b/ö.txt': 'ö', empty: '' }),
    );
    const dirPath = "/skills/it's-$(touch--tmp-x)-ünd";
    const answer = await mount(skill.id, id);
    expect([answer.status, await answer.json()]).toEqual([200, { name: skill.name, description: 'd', dirPath }]);
    const files = await sandbox.output('find /skills -mindepth 1 -printf "%u %m %y %P\\n" | LC_ALL=C sort -k4');
    const name = dirPath.slice('/skills/'.length);
    expect(files.trim().split('\n')).toEqual([
      `root 755 d ${name}`,
      `root 644 f ${name}/SKILL.md`,
      `root 755 d ${name}/a b`,
      `root 644 f ${name}/a b/ö.txt`,
      `root 644 f ${name}/empty`,
    ]);
    expect(await sandbox.output('cat /skills/*/*/ö.txt && ls /tmp/x 2>&1 || true')).toMatch(/^öls: .*No such file/);
    expect(await errorOf(await mount(skill.id, id))).toMatchObject({ status: 409, code: 'conflict' });
  });

  test('of one skill twice at once succeeds once', async () => {
    const { id } = await tenant.createSandbox({});
    const skill = await create(await zipOf({ 'SKILL.md': manifest('raced'), blob: randomBytes(1_000_000) }));
    const answers = await Promise.all([mount(skill.id, id), mount(skill.id, id), mount(skill.id, id)]);
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409, 409]);
    expect(await new TestSandbox(tenant, id).output('ls /skills/raced && wc -c < /skills/raced/blob')).toBe(
      'SKILL.md\nblob\n1000000\n',
    );
  });

  test('over a file, or into a sandbox that is gone or another tenant’s, is refused', async () => {
    const { id } = await tenant.createSandbox({});
    const skill = await create(await zipOf({ 'SKILL.md': manifest('unwelcome') }));
    await new TestSandbox(tenant, id).output('mkdir -p /skills && echo x > /skills/unwelcome', { user: 'root' });
    expect(await errorOf(await mount(skill.id, id))).toMatchObject({ status: 409, code: 'conflict' });
    expect(await new TestSandbox(tenant, id).output('cat /skills/unwelcome')).toBe('x\n');
    await tenant.api(`/v1/sandboxes/${id}`, { method: 'DELETE' });
    expect(await errorOf(await mount(skill.id, id))).toMatchObject({ status: 410, code: 'sandbox_ended' });
    expect(await errorOf(await mount(skill.id, 'nonsense'))).toMatchObject({ status: 404, code: 'not_found' });
  });

  test('of a skill without files does not touch the sandbox', async () => {
    const skill = await create(await zipOf({ 'SKILL.md': manifest('emptied') }));
    await tenant.json(`/v1/disks/${skill.diskId}/artifacts?path=/SKILL.md`, { method: 'DELETE' });
    expect(await (await mount(skill.id, 'none')).json()).toMatchObject({ dirPath: '/skills/emptied' });
  });
});

test('a skill that has grown past what a zip takes is shown and mounted, but not packed', async () => {
  const skill = await create(await zipOf({ 'SKILL.md': manifest('grown') }));
  for (let count = 0; count < 200; count += 1) {
    const path = `/v1/disks/${skill.diskId}/artifacts/content?path=/more/${count}`;
    await tenant.json(path, { method: 'PUT', body: String(count), status: 201 });
  }
  expect(await errorOf(await tenant.api(`/v1/skills/${skill.id}/archive`))).toMatchObject({
    status: 413,
    code: 'payload_too_large',
  });
  expect((await tenant.json<Skill>(`/v1/skills/${skill.id}`)).files).toHaveLength(201);
  const { id: sandboxId } = await tenant.createSandbox({});
  await tenant.json(`/v1/skills/${skill.id}/mount`, { method: 'POST', json: { sandboxId } });
  const sandbox = new TestSandbox(tenant, sandboxId);
  expect(await sandbox.output('ls /skills/grown/more | wc -l && cat /skills/grown/more/199')).toBe('200\n199');
});

test('a mount that fails leaves no directory', async () => {
  const skill = await create(await zipOf({ 'SKILL.md': manifest('failing'), blob: randomBytes(8_000_000) }));
  const { id: sandboxId } = await tenant.createSandbox({});
  const sandbox = new TestSandbox(tenant, sandboxId);
  // Small, and fails as a disk at its quota does.
  await sandbox.output('rm -rf /skills && ln -s /dev/shm /skills && head -c 60000000 /dev/zero > /dev/shm/rest', {
    user: 'root',
  });
  const mount = () => tenant.api(`/v1/skills/${skill.id}/mount`, { method: 'POST', json: { sandboxId } });
  expect(await errorOf(await mount())).toMatchObject({ status: 507, code: 'insufficient_storage' });
  await waitFor('the directory to go', async () => (await sandbox.output('ls /dev/shm')) === 'rest\n', 5_000);
  await sandbox.output('rm /dev/shm/rest', { user: 'root' });
  expect((await mount()).status).toBe(200);
});

/** Of a zip whose length is told and of which nothing is sent: the answer doesn't wait for it. */
const statusOfAnnounced = async (zipBytes: number): Promise<number | undefined> => {
  const headers = { authorization: `Bearer ${tenant.key}`, 'content-length': zipBytes };
  const asking = request(`${installation().url}/v1/skills`, { method: 'POST', headers });
  asking.flushHeaders();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  asking.destroy();
  return response.statusCode;
};

const unzipped = async (zip: Uint8Array): Promise<Record<string, string>> => {
  const read = async (offset: number, length: number) => zip.subarray(offset, offset + length);
  const { entries } = await openZip({ sizeBytes: zip.length, read }, zipBounds);
  const contents: Record<string, string> = {};
  for (const entry of entries) {
    contents[entry.path] = Buffer.from(await new Response(entry.body()).arrayBuffer()).toString('hex');
  }
  return contents;
};
