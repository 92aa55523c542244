import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAcontext, failure, failureOf, type Acontext, type Answer } from './client.ts';
import { formOf } from './form.ts';

interface Artifact {
  path: string;
  filename: string;
  meta: Record<string, unknown>;
}

const missing = '00000000-0000-4000-8000-000000000000';

let acontext: Acontext;
let disk: string;
let sandbox: string;
const createSandbox = async (of: Acontext): Promise<string> =>
  (await of.data<{ sandbox_id: string }>(201, 'POST', '/sandbox')).sandbox_id;
beforeAll(async () => {
  acontext = await createAcontext();
  disk = (await acontext.data<{ id: string }>(201, 'POST', '/disk')).id;
  sandbox = await createSandbox(acontext);
});
afterAll(() => acontext.cleanUp());

const put = async (filePath: string, filename: string, value: string | Uint8Array, meta?: object): Promise<void> => {
  const { body, type } = formOf([
    { name: 'file_path', value: filePath },
    ...(meta === undefined ? [] : [{ name: 'meta', value: JSON.stringify(meta) }]),
    { name: 'file', value, filename },
  ]);
  expect((await acontext.send('POST', `/disk/${disk}/artifact`, { body, type })).status).toBe(201);
};
const run = async (command: string): Promise<string> => {
  const path = `/sandbox/${sandbox}/exec`;
  const output = await acontext.data<{ stdout: string; exit_code: number }>(200, 'POST', path, { command });
  expect(output.exit_code).toBe(0);
  return output.stdout;
};
const download = (fields: Record<string, unknown>): Promise<Answer> =>
  acontext.send('POST', `/disk/${disk}/artifact/download_to_sandbox`, {
    json: { file_path: '/', filename: 'a.txt', sandbox_id: sandbox, sandbox_path: '/workspace', ...fields },
  });
const upload = (fields: Record<string, unknown>): Promise<Answer> =>
  acontext.send('POST', `/disk/${disk}/artifact/upload_from_sandbox`, {
    json: { sandbox_id: sandbox, sandbox_path: '/workspace', sandbox_filename: 'a.txt', file_path: '/', ...fields },
  });

describe('download_to_sandbox', () => {
  test.each([
    ['empty', 0],
    ['small.bin', 5000],
    ['large.bin', 3_000_000],
  ])('brings %s of %i bytes, and makes what is missing of its directories', async (filename, size) => {
    const bytes = randomBytes(size);
    await put('/to/', filename, bytes);
    for (const [filePath, sandboxPath] of [
      ['/to/', '/workspace/new/deep/'],
      ['/to', '/workspace/other'],
      ['to', '/workspace/other/'],
    ]) {
      const answer = await download({ file_path: filePath, filename, sandbox_path: sandboxPath });
      expect([answer.status, answer.body]).toEqual([200, { code: 0, data: { success: true }, msg: '' }]);
      const digest = createHash('sha256').update(bytes).digest('hex');
      expect(await run(`sha256sum < ${sandboxPath}/${filename}`)).toBe(`${digest}  -\n`);
    }
  });

  test('replaces a file that is there', async () => {
    await put('/', 'over.txt', 'new');
    await run('echo old > /workspace/over.txt');
    await download({ filename: 'over.txt' });
    expect(await run('cat /workspace/over.txt')).toBe('new');
  });

  test.each(['rel/deep', './rel/deep/', 'rel/../rel/deep'])(
    'to %s is below /workspace, whence the same path uploads',
    async (place) => {
      await put('/', 'rel.txt', place);
      expect((await download({ filename: 'rel.txt', sandbox_path: place })).body).toMatchObject({
        data: { success: true },
      });
      expect(await run('cat /workspace/rel/deep/rel.txt')).toBe(place);
      const answer = await upload({ sandbox_path: place, sandbox_filename: 'rel.txt', file_path: '/back/' });
      expect(answer.status).toBe(201);
    },
  );

  test('of what the sandbox refuses is 200 with success: false', async () => {
    await put('/', 'a.txt', 'a');
    await run('mkdir -p /workspace/taken/a.txt; touch /workspace/file');
    for (const sandboxPath of ['/workspace/taken', '/workspace/file', '/proc']) {
      const answer = await download({ sandbox_path: sandboxPath });
      expect([sandboxPath, answer.status, answer.body.data]).toEqual([sandboxPath, 200, { success: false }]);
    }
  });

  test('of an artifact that there is not is 404, and a field that is missing, empty or no name is 400', async () => {
    expect(failureOf(await download({ filename: 'none' }))).toEqual(failure(404, /no artifact/));
    for (const field of ['file_path', 'filename', 'sandbox_id', 'sandbox_path']) {
      expect(failureOf(await download({ [field]: '' }))).toEqual(failure(400, /./));
      expect(failureOf(await download({ [field]: undefined }))).toEqual(failure(400, /./));
    }
    for (const filename of ['to/empty', '..', 'x\0']) {
      expect(failureOf(await download({ filename }))).toEqual(failure(400, /./));
    }
  });
});

describe('upload_from_sandbox', () => {
  const contentOf = async (path: string): Promise<string | undefined> => {
    const query = new URLSearchParams({ file_path: path });
    const got = await acontext.data<{ content?: { raw: string } }>(200, 'GET', `/disk/${disk}/artifact?${query}`);
    return got.content?.raw;
  };

  test('is 201 with the artifact, where a get finds it, with a slash at the end of its directory or without', async () => {
    await run('mkdir -p /workspace/out; echo made > "/workspace/out/r é.txt"');
    for (const filePath of ['/results/', '/results', 'results']) {
      const answer = await upload({
        sandbox_path: '/workspace/out/',
        sandbox_filename: 'r é.txt',
        file_path: filePath,
      });
      expect([answer.status, answer.body.code]).toEqual([201, 0]);
      expect(answer.body.data).toMatchObject({ disk_id: disk, path: '/results/', filename: 'r é.txt' });
      expect(await contentOf('/results/r é.txt')).toBe('made\n');
    }
  });

  test('takes files of more than the 16 MiB of a form, and empty ones', async () => {
    await run('head -c 17000000 /dev/zero > /workspace/large; : > /workspace/nothing');
    for (const [filename, size] of [
      ['large', 17_000_000],
      ['nothing', 0],
    ] as const) {
      const { meta } = (await upload({ sandbox_filename: filename })).body.data as Artifact;
      expect(meta['__artifact_info__']).toMatchObject({ size });
    }
  });

  test('over an artifact leaves none of its meta', async () => {
    await put('/', 'meta.txt', 'old', { of: 'old' });
    await run('echo new > /workspace/meta.txt');
    const { meta } = (await upload({ sandbox_filename: 'meta.txt' })).body.data as Artifact;
    expect(Object.keys(meta)).toEqual(['__artifact_info__']);
    expect(await contentOf('/meta.txt')).toBe('new\n');
  });

  test('is told by the logs, with the whole path of its source', async () => {
    await run('echo x > /workspace/told.txt');
    await upload({ sandbox_filename: 'told.txt', sandbox_path: '/workspace/' });
    const logs = await acontext.data<{ items: { id: string; generated_files: unknown[] }[] }>(
      200,
      'GET',
      '/sandbox/logs?time_desc=true',
    );
    const own = logs.items.find(({ id }) => id === sandbox);
    expect(own?.generated_files).toContainEqual({ sandbox_path: '/workspace/told.txt' });
  });

  test('of a file that there is not is 404; of a directory, a device and of what is no name 400; nothing is made', async () => {
    expect(failureOf(await upload({ sandbox_filename: 'none' }))).toEqual(failure(404, /\/workspace\/none/));
    expect(failureOf(await upload({ sandbox_path: '/', sandbox_filename: 'etc' }))).toEqual(failure(400, /directory/));
    expect(failureOf(await upload({ sandbox_path: '/dev', sandbox_filename: 'zero' }))).toEqual(failure(400, /file/));
    for (const filename of ['etc/passwd', '../etc/passwd', '..', '']) {
      const answer = await upload({ sandbox_path: '/', sandbox_filename: filename, file_path: '/never/' });
      expect(failureOf(answer)).toEqual(failure(400, /./));
    }
    const { artifacts } = await acontext.data<{ artifacts: unknown[] }>(
      200,
      'GET',
      `/disk/${disk}/artifact/ls?path=/never/`,
    );
    expect(artifacts).toEqual([]);
  });
});

test('a sandbox that was killed, is another tenant’s or that there is not is one 404, each way', async () => {
  await put('/', 'a.txt', 'a');
  const stranger = await createAcontext();
  const foreign = await createSandbox(stranger);
  const killed = await createSandbox(acontext);
  await acontext.data(200, 'DELETE', `/sandbox/${killed}`);
  for (const sandboxId of [foreign, killed, missing]) {
    for (const transfer of [download, upload]) {
      const { status, text } = await transfer({ sandbox_id: sandboxId });
      expect([status, text]).toEqual([404, '{"code":404,"msg":"sandbox not found or was killed"}']);
    }
  }
  for (const transfer of [download, upload]) {
    expect(failureOf(await transfer({ sandbox_id: 'nonsense' }))).toEqual(failure(400, /^invalid sandbox_id$/));
  }
  await stranger.cleanUp();
});
