import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { waitFor } from '../../wait-for.ts';
import { acontextKeyOf, createAcontext, failure, failureOf, type Acontext, type Answer } from './client.ts';
import { formOf } from './form.ts';

interface Artifact {
  disk_id: string;
  path: string;
  filename: string;
  meta: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}
interface Got {
  artifact: Artifact;
  public_url?: string;
  content?: { type: string; raw: string };
}

let acontext: Acontext;
let disk: string;
beforeAll(async () => {
  acontext = await createAcontext();
});
beforeEach(async () => {
  disk = (await acontext.data<{ id: string }>(201, 'POST', '/disk')).id;
});
afterAll(() => acontext.cleanUp());

type Parts = Parameters<typeof formOf>[0];

const post = (parts: Parts): Promise<Answer> => {
  const { body, type } = formOf(parts);
  return acontext.send('POST', `/disk/${disk}/artifact`, { body, type });
};

const put = async (
  filename: string,
  value: string | Uint8Array,
  filePath?: string,
  meta?: object,
): Promise<Artifact> => {
  const answer = await post([
    ...(filePath === undefined ? [] : [{ name: 'file_path', value: filePath }]),
    ...(meta === undefined ? [] : [{ name: 'meta', value: JSON.stringify(meta) }]),
    { name: 'file', value, filename },
  ]);
  expect(answer).toMatchObject({ status: 201, body: { code: 0 } });
  return answer.body.data as Artifact;
};

const query = (pairs: Record<string, string>): string => new URLSearchParams(pairs).toString();
const get = (path: string, flags: Record<string, string> = {}): Promise<Got> =>
  acontext.data<Got>(200, 'GET', `/disk/${disk}/artifact?${query({ file_path: path, ...flags })}`);
const infoOf = ({ meta }: Artifact) => meta['__artifact_info__'] as { mime: string; size: number };

test('an upsert answers the artifact, and a get without flags gives its content and a URL that needs no key', async () => {
  const made = await put('t é.txt', 'Grüße\n', '/docs/', { topic: 'x' });
  expect(made).toMatchObject({ disk_id: disk, path: '/docs/', filename: 't é.txt' });
  expect(made.meta).toEqual({
    topic: 'x',
    __artifact_info__: { path: '/docs/', filename: 't é.txt', mime: 'text/plain; charset=utf-8', size: 8 },
  });
  const got = await get('/docs/t é.txt');
  expect(got.artifact).toEqual(made);
  expect(got.content).toEqual({ type: 'text', raw: 'Grüße\n' });
  expect(got.public_url).toMatch(/\/api\/v1\/material\/[0-9a-f]{64}$/);
  const fetched = await fetch(got.public_url ?? '', { redirect: 'manual' });
  expect([fetched.status, await fetched.text()]).toEqual([200, 'Grüße\n']);
  expect(fetched.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(fetched.headers.get('content-disposition')).toContain('attachment');
});

test('a get leaves out what was not asked for', async () => {
  await put('a.txt', 'a');
  const got = await get('/a.txt', { with_public_url: 'false', with_content: 'false' });
  expect(Object.keys(got)).toEqual(['artifact']);
});

test('a public URL ends with its time, and a time that is none is refused', async () => {
  await put('a.txt', 'a');
  const { public_url: url = '' } = await get('/a.txt', { expire: '1' });
  expect((await fetch(url)).status).toBe(200);
  await waitFor('the URL to expire', async () => (await fetch(url)).status === 404, 5_000, 100);
  for (const expire of ['0', '-1', 'x', '1.5']) {
    const path = `/disk/${disk}/artifact?${query({ file_path: '/a.txt', expire })}`;
    expect(failureOf(await acontext.send('GET', path))).toEqual(failure(400, /./));
  }
});

test.each([
  ['an hour by default', {}, 3600],
  ['as asked', { expire: '60' }, 60],
  ['7 days where more is asked', { expire: '99999999' }, 7 * 24 * 3600],
])('a public URL is good for %s', async (_, flags: Record<string, string>, seconds) => {
  await put('a.txt', 'a');
  const { public_url: url = '' } = await get('/a.txt', flags);
  const expiresAtSeconds = Number.parseInt(url.slice(-40, -32), 16);
  expect(Math.abs(expiresAtSeconds - Date.now() / 1000 - seconds)).toBeLessThan(5);
});

test('the type is told from name and content, whatever the part says', async () => {
  expect(infoOf(await put('main.py', 'print(1)\n')).mime).toBe('text/x-python; charset=utf-8');
  expect(infoOf(await put('data.json', '{"a": 1}')).mime).toContain('application/json');
  expect(infoOf(await put('x.bin', new Uint8Array([0, 1, 2, 255]))).mime).toBe('application/octet-stream');
});

test.each([
  ['ok.json', '{"a": 1}', { type: 'json', raw: '{"a": 1}' }],
  ['bad.json', '{"a": ', undefined],
  ['t.csv', 'a,b\n1,2\n', { type: 'csv', raw: 'a,b\n1,2\n' }],
  ['t.py', 'x = 1\n', { type: 'code', raw: 'x = 1\n' }],
  ['t.md', '# x\n', { type: 'text', raw: '# x\n' }],
])('content of %s is parsed or left out, never an error', async (name, text, content) => {
  await put(name, text);
  expect((await get(`/${name}`)).content).toEqual(content);
});

test('binary content is left out', async () => {
  await put('x.png', new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]));
  expect((await get('/x.png')).content).toBeUndefined();
});

test.each([
  [undefined, '/'],
  ['/docs/', '/docs/'],
  ['docs/', '/docs/'],
  ['/folder', '/folder/'],
  ['/docs/x.txt', '/docs/'],
  ['', '/'],
])('file_path %j is stored as %s, and is found there', async (filePath, stored) => {
  expect(await put('x.txt', 'x', filePath)).toMatchObject({ path: stored, filename: 'x.txt' });
  expect((await get(`${stored}x.txt`)).artifact.path).toBe(stored);
});

test('an upsert over an artifact replaces its bytes and its meta', async () => {
  await put('a.txt', 'old', '/', { kept: false });
  await put('a.txt', 'new');
  const { artifact, content } = await get('/a.txt');
  expect(content?.raw).toBe('new');
  expect(Object.keys(artifact.meta)).toEqual(['__artifact_info__']);
});

test('an update replaces the meta, which travels as text and comes back as an object', async () => {
  await put('a.txt', 'a', '/', { one: 1 });
  const update = (meta: string, path = '/a.txt') =>
    acontext.send('PUT', `/disk/${disk}/artifact`, { json: { file_path: path, meta } });
  const answer = await update('{"two":{"three":[3]}}');
  expect(answer.status).toBe(200);
  expect((answer.body.data as Got).artifact.meta).toMatchObject({ two: { three: [3] } });
  expect((await get('/a.txt')).artifact.meta).not.toHaveProperty('one');
  expect(failureOf(await update('{"__artifact_info__":1}'))).toEqual(failure(400, /reserved key '__artifact_info__'/));
  expect(failureOf(await update('[1]'))).toEqual(failure(400, /invalid meta JSON format/));
  expect(failureOf(await update('{'))).toEqual(failure(400, /invalid meta JSON format/));
  expect(failureOf(await update('{}', '/none.txt'))).toEqual(failure(404, /./));
});

test('a deleted artifact is gone, and so is its URL; deleting it again is 404', async () => {
  await put('a b.txt', 'a', '/d/');
  const { public_url: url = '' } = await get('/d/a b.txt');
  const remove = () => acontext.send('DELETE', `/disk/${disk}/artifact?${query({ file_path: '/d/a b.txt' })}`);
  expect(await remove()).toMatchObject({ status: 200, text: '{"code":0,"msg":""}' });
  expect(failureOf(await remove())).toEqual(failure(404, /./));
  expect((await fetch(url)).status).toBe(404);
});

test('ls tells a directory’s files by name and the names of those below; an empty one is two empty lists', async () => {
  await put('b.txt', 'b', '/docs/');
  await put('a.txt', 'a', '/docs/');
  await put('c.txt', 'c', '/docs/deep/er/');
  await put('d.txt', 'd');
  const ls = (path?: string) =>
    acontext.data<{ artifacts: Artifact[]; directories: string[] }>(
      200,
      'GET',
      `/disk/${disk}/artifact/ls${path === undefined ? '' : `?${query({ path })}`}`,
    );
  const names = async (path?: string) => {
    const { artifacts, directories } = await ls(path);
    return [artifacts.map(({ filename }) => filename), directories];
  };
  expect(await names()).toEqual([['d.txt'], ['docs']]);
  expect(await names('/docs/')).toEqual([['a.txt', 'b.txt'], ['deep']]);
  expect(await ls('/none/')).toEqual({ artifacts: [], directories: [] });
  const bad = await acontext.send('GET', `/disk/${disk}/artifact/ls?${query({ path: '/docs' })}`);
  expect(failureOf(bad)).toEqual(failure(400, /both ends of the path must be '\/'/));
  const out = await acontext.send('GET', `/disk/${disk}/artifact/ls?${query({ path: '/docs/../' })}`);
  expect(failureOf(out)).toEqual(failure(400, /\.\./));
});

test('ls of more meta than an answer holds is 413, which says that it is the meta', async () => {
  await put('0', 'x', '/heavy/', { text: 'x'.repeat(16_000) });
  const copy = `/v1/disks/${disk.replaceAll('-', '')}/artifacts/copy`;
  for (let from = 1; from < 600; from += 30) {
    const copies = Array.from({ length: 30 }, (_, index) => `/heavy/${from + index}`);
    await Promise.all(
      copies.map((destination) =>
        acontext.tenant.json(copy, { method: 'POST', json: { source: '/heavy/0', destination } }),
      ),
    );
  }
  const answer = await acontext.send('GET', `/disk/${disk}/artifact/ls?${query({ path: '/heavy/' })}`);
  expect(failureOf(answer)).toEqual(failure(413, /^The meta of .* the first 5\d\d entries; the native API/));
});

test('the raw bytes are served with their type', async () => {
  const bytes = new Uint8Array(70_000).map((_, index) => index % 251);
  await put('x.bin', bytes);
  const response = await fetch(`${installation().url}/api/v1/disk/${disk}/artifact/download?file_path=%2Fx.bin`, {
    headers: { authorization: `Bearer ${acontextKeyOf(acontext.tenant.key)}` },
  });
  expect(response.headers.get('content-type')).toBe('application/octet-stream');
  expect(Buffer.compare(Buffer.from(await response.arrayBuffer()), Buffer.from(bytes))).toBe(0);
  expect(response.headers.get('content-security-policy')).toContain('sandbox');
  const part = await fetch(response.url, {
    headers: { authorization: `Bearer ${acontextKeyOf(acontext.tenant.key)}`, range: 'bytes=69999-' },
  });
  expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 1]);
});

test('text of up to 16 MiB is told in a get; of more there are its properties and its URL', async () => {
  const native = `/v1/disks/${disk.replaceAll('-', '')}/artifacts/content?path=`;
  const largest = 'x'.repeat(16 * 1024 * 1024);
  await acontext.tenant.api(`${native}/largest.txt`, { method: 'PUT', body: largest });
  await acontext.tenant.api(`${native}/larger.txt`, { method: 'PUT', body: `${largest}x` });
  expect((await get('/largest.txt', { with_content: 'true' })).content?.raw.length).toBe(largest.length);
  const { artifact, content, public_url: url } = await get('/larger.txt', { with_content: 'true' });
  expect([infoOf(artifact).size, content]).toEqual([largest.length + 1, undefined]);
  expect((await (await fetch(url ?? '')).text()).length).toBe(largest.length + 1);
});

describe('a form', () => {
  test('of 16 MiB is taken, one byte more is 413', async () => {
    expect(infoOf(await put('max.bin', new Uint8Array(16 * 1024 * 1024))).size).toBe(16 * 1024 * 1024);
    const answer = await post([{ name: 'file', value: new Uint8Array(16 * 1024 * 1024 + 1), filename: 'over.bin' }]);
    expect(failureOf(answer)).toEqual(
      failure(413, /16777216 bytes; larger files come by upload_from_sandbox or the native API/),
    );
    expect((await acontext.send('GET', `/disk/${disk}/artifact?file_path=%2Fover.bin`)).status).toBe(404);
  });

  test('may have its parts in any order', async () => {
    const answer = await post([
      { name: 'file', value: 'x', filename: 'x.txt' },
      { name: 'meta', value: '{"a":1}' },
      { name: 'file_path', value: '/late/' },
    ]);
    expect(answer.body.data).toMatchObject({ path: '/late/', meta: { a: 1 } });
  });

  test.each([
    ['without a file', [{ name: 'file_path', value: '/' }], /file is required/],
    [
      'with a reserved key',
      [
        { name: 'meta', value: '{"__artifact_info__":{}}' },
        { name: 'file', value: 'x', filename: 'x' },
      ],
      /reserved key/,
    ],
    [
      'with meta that is no object',
      [
        { name: 'meta', value: '3' },
        { name: 'file', value: 'x', filename: 'x' },
      ],
      /invalid meta JSON format/,
    ],
    [
      'with a path that leads out',
      [
        { name: 'file_path', value: '/../' },
        { name: 'file', value: 'x', filename: 'x' },
      ],
      /./,
    ],
    ['with a name that is none', [{ name: 'file', value: 'x', filename: '..' }], /./],
  ] as [string, Parts, RegExp][])('%s is 400 and leaves nothing', async (_, parts, sentence) => {
    expect(failureOf(await post(parts))).toEqual(failure(400, sentence));
    const { artifacts } = await acontext.data<{ artifacts: unknown[] }>(200, 'GET', `/disk/${disk}/artifact/ls`);
    expect(artifacts).toEqual([]);
  });

  test('that is cut, or is none, is 400', async () => {
    const { body, type } = formOf([{ name: 'file', value: 'x'.repeat(1000), filename: 'x.txt' }]);
    const path = `/disk/${disk}/artifact`;
    expect(failureOf(await acontext.send('POST', path, { body: body.subarray(0, -20), type }))).toEqual(
      failure(400, /./),
    );
    expect(failureOf(await acontext.send('POST', path, { json: {} }))).toEqual(failure(400, /./));
    expect(failureOf(await acontext.send('POST', path))).toEqual(failure(400, /./));
  });
});

describe('searching', () => {
  beforeEach(async () => {
    await put('main.py', 'import os\nprint("Hello")\n', '/src/');
    await put('top.py', 'pass\n');
    await put('notes.md', '# Hello\n', '/docs/');
    await put('x_y.md', 'plain\n', '/docs/');
    await put('image.bin', new Uint8Array([0, 72, 101, 108, 108, 111]), '/src/');
  });
  const search = async (verb: string, pattern: string, limit = '100') =>
    (
      await acontext.data<Artifact[]>(200, 'GET', `/disk/${disk}/artifact/${verb}?${query({ query: pattern, limit })}`)
    ).map(({ path, filename }) => `${path}${filename}`);

  test.each([
    ['*.py', ['/top.py', '/src/main.py']],
    ['**/*.md', ['/docs/notes.md', '/docs/x_y.md']],
    ['/docs/*', ['/docs/notes.md', '/docs/x_y.md']],
    ['/docs/x?y.md', ['/docs/x_y.md']],
    ['/docs/x%', []],
    ['main.py', []],
    ['*.PY', []],
  ])('glob %s', async (pattern, found) => {
    expect(await search('glob', pattern)).toEqual(found);
  });

  test.each([
    ['hello', ['/docs/notes.md', '/src/main.py']],
    ['import.*print', ['/src/main.py']],
    ['^# h', ['/docs/notes.md']],
    ['^print', []],
    ['[[:digit:]]', []],
    ['nothing here', []],
  ])('grep %s', async (pattern, found) => {
    expect(await search('grep', pattern)).toEqual(found);
  });

  test('limits hold; bad ones and bad patterns are 400', async () => {
    expect(await search('glob', '*', '1')).toHaveLength(1);
    expect(await search('glob', '*', '0')).toHaveLength(5);
    expect(await search('glob', '*', '1000')).toHaveLength(5);
    const ask = (verb: string, pairs: Record<string, string>) =>
      acontext.send('GET', `/disk/${disk}/artifact/${verb}?${query(pairs)}`);
    expect(failureOf(await ask('glob', { query: '*', limit: '1001' }))).toEqual(failure(400, /./));
    expect(failureOf(await ask('grep', { query: '(' }))).toEqual(failure(400, /./));
    expect(failureOf(await ask('grep', {}))).toEqual(failure(400, /./));
  });

  test('a pattern that would make a back-tracking engine stand still answers', async () => {
    await put('evil.txt', `${'a'.repeat(50_000)}!`);
    expect(await search('grep', '^(a+)+$')).toEqual([]);
  });
});

test('a disk id that is none is 400', async () => {
  expect(failureOf(await acontext.send('GET', '/disk/nonsense/artifact/ls'))).toEqual(failure(400, /invalid disk_id/));
});
