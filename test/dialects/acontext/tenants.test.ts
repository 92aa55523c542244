import { afterAll, beforeAll, expect, test } from 'vitest';
import { acontextRoutes } from '../../../worker/dialects/acontext/route-table.ts';
import { manifest, zipOf } from '../../disks/skill-zip.ts';
import { createAcontext, type Acontext, type Answer } from './client.ts';
import { formOf } from './form.ts';

/** What one tenant has is answered to another one, byte for byte, as what nobody has: on every route that takes an id. */
interface Belongings {
  sandbox_id: string;
  disk_id: string;
  skill_id: string;
  identifier: string;
}
type Sent = Parameters<Acontext['send']>[2];

const missing: Belongings = {
  sandbox_id: '11111111-1111-4111-8111-111111111111',
  disk_id: '22222222-2222-4222-8222-222222222222',
  skill_id: '33333333-3333-4333-8333-333333333333',
  identifier: 'nobody@b',
};

let owner: Acontext;
let stranger: Acontext;
/** The owner's, and the stranger's own. */
let theirs: Belongings;
let own: Belongings;

const ownThings = async (acontext: Acontext, identifier: string): Promise<Belongings> => {
  const { sandbox_id } = await acontext.data<{ sandbox_id: string }>(201, 'POST', '/sandbox');
  const { id: disk_id } = await acontext.data<{ id: string }>(201, 'POST', '/disk', { user: identifier });
  const file = formOf([{ name: 'file', value: 'text', filename: 'a.txt' }]);
  expect((await acontext.send('POST', `/disk/${disk_id}/artifact`, file)).status).toBe(201);
  const skill = formOf([{ name: 'file', value: await zipOf({ 'SKILL.md': manifest('own') }), filename: 's.zip' }]);
  const { id: skill_id } = (await acontext.send('POST', '/agent_skills', skill)).body.data as { id: string };
  return { sandbox_id, disk_id, skill_id, identifier };
};
beforeAll(async () => {
  [owner, stranger] = await Promise.all([createAcontext(), createAcontext()]);
  [theirs, own] = await Promise.all([ownThings(owner, 'their@a'), ownThings(stranger, 'own@a')]);
});
afterAll(() => Promise.all([owner.cleanUp(), stranger.cleanUp()]));

const transfer = (things: Belongings): Sent => ({
  json: {
    sandbox_id: things.sandbox_id,
    sandbox_path: '/etc',
    sandbox_filename: 'hostname',
    file_path: '/',
    filename: 'a.txt',
  },
});
const file = '?file_path=%2Fa.txt';

/** A request that succeeds among one's own things, for each route with an id; `things` are those of its body. */
const requests: Record<string, { query?: string; body?: (things: Belongings) => Sent }> = {
  'POST /sandbox/{sandbox_id}/exec': { body: () => ({ json: { command: 'true' } }) },
  'POST /disk/{disk_id}/artifact': { body: () => formOf([{ name: 'file', value: 'text', filename: 'a.txt' }]) },
  'GET /disk/{disk_id}/artifact': { query: file },
  'PUT /disk/{disk_id}/artifact': { body: () => ({ json: { file_path: '/a.txt', meta: '{}' } }) },
  'GET /disk/{disk_id}/artifact/ls': {},
  'GET /disk/{disk_id}/artifact/download': { query: file },
  'GET /disk/{disk_id}/artifact/glob': { query: '?query=*' },
  'GET /disk/{disk_id}/artifact/grep': { query: '?query=text' },
  'POST /disk/{disk_id}/artifact/download_to_sandbox': { body: transfer },
  'POST /disk/{disk_id}/artifact/upload_from_sandbox': { body: transfer },
  'GET /user/{identifier}/resources': {},
  'GET /agent_skills/{skill_id}': {},
  'GET /agent_skills/{skill_id}/file': { query: '?file_path=SKILL.md' },
  'GET /agent_skills/{skill_id}/download_zip': {},
  'POST /agent_skills/{skill_id}/download_to_sandbox': {
    body: ({ sandbox_id }) => ({ json: { sandbox_id } }),
  },
  // Those that end something come last.
  'DELETE /disk/{disk_id}/artifact': { query: file },
  'DELETE /disk/{disk_id}': {},
  'DELETE /agent_skills/{skill_id}': {},
  'DELETE /user/{identifier}': {},
  'DELETE /sandbox/{sandbox_id}': {},
};
/** Their answers are no envelope. */
const bytes = ['GET /disk/{disk_id}/artifact/download', 'GET /agent_skills/{skill_id}/download_zip'];
/** Whom there is not is deleted already, as Acontext has it. */
const unknownIs200 = 'DELETE /user/{identifier}';

const ask = (route: string, inPath: Belongings, inBody: Belongings): Promise<Answer> => {
  const [method = '', template = ''] = route.split(' ');
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: keyof Belongings) => encodeURIComponent(inPath[name]));
  const { query = '', body } = requests[route] ?? {};
  return stranger.send(method, `${path}${query}`, body?.(inBody));
};
/** All of an answer but what is of this request alone, and the id that was asked for. */
const said = ({ status, headers, text }: Answer, things: Belongings): string => {
  const ids = Object.values(things).flatMap((id: string) => [id, id.replaceAll('-', '')]);
  const kept = [...headers].filter(([name]) => name !== 'date' && name !== 'x-request-id' && name !== 'content-length');
  return ids.reduce((whole, id) => whole.replaceAll(id, '<id>'), `${status} ${JSON.stringify(kept)} ${text}`);
};

test('every route with an id is asked here', () => {
  const routes = acontextRoutes.filter(({ path, open }) => path.includes('{') && open !== true);
  expect(routes.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(Object.keys(requests).toSorted());
});

test.each(Object.keys(requests).filter((route) => route !== unknownIs200))(
  '%s of another tenant’s is as of a missing one',
  async (route) => {
    const foreign = said(await ask(route, theirs, own), theirs);
    expect(foreign).toMatch(/^404 /);
    expect(foreign).toBe(said(await ask(route, missing, own), missing));
  },
);

test.each(Object.keys(requests).filter((route) => route.endsWith('_sandbox')))(
  '%s names nobody else’s sandbox in its body',
  async (route) => {
    const foreign = said(await ask(route, own, theirs), theirs);
    expect(foreign).toMatch(/^404 /);
    expect(foreign).toBe(said(await ask(route, own, missing), missing));
  },
);

test('lists show one’s own alone', async () => {
  for (const path of ['/disk?limit=200', '/sandbox/logs?limit=200', '/user/ls', '/agent_skills?limit=200']) {
    const { text } = await stranger.send('GET', path);
    for (const id of [theirs.disk_id, theirs.sandbox_id, theirs.identifier, theirs.skill_id]) {
      expect([path, text]).not.toEqual([path, expect.stringContaining(id)]);
    }
  }
  const filtered = await stranger.data(200, 'GET', `/disk?user=${encodeURIComponent(theirs.identifier)}`);
  expect(filtered).toEqual({ items: [], has_more: false });
});

test('after all that the owner’s things are as they were, and the same requests of one’s own succeed', async () => {
  expect((await stranger.send('DELETE', `/user/${encodeURIComponent(theirs.identifier)}`)).status).toBe(200);
  const base = `/disk/${theirs.disk_id}/artifact`;
  const got = await owner.data(200, 'GET', `${base}${file}`);
  expect(got).toMatchObject({ artifact: { meta: { __artifact_info__: { size: 4 } } }, content: { raw: 'text' } });
  expect(await owner.data(200, 'GET', `${base}/ls`)).toMatchObject({ artifacts: [{ filename: 'a.txt' }] });
  await owner.data(200, 'GET', `/agent_skills/${theirs.skill_id}`);
  expect(await owner.data(200, 'POST', `/sandbox/${theirs.sandbox_id}/exec`, { command: 'ls /skills' })).toEqual({
    stdout: '',
    stderr: '',
    exit_code: 0,
  });
  for (const route of Object.keys(requests).filter((each) => !bytes.includes(each))) {
    const { body, text } = await ask(route, own, own);
    expect([route, body.code, text]).toEqual([route, 0, text]);
  }
});
