import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { errorOf, eventsOf, type Parsed, TestSandbox } from '../exec/calls.ts';

const run = promisify(execFile);
let sandbox: TestSandbox;
let folder: string;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
  folder = await mkdtemp(join(tmpdir(), 'glovebox-archive-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await sandbox.cleanUp();
});

describe('an upload in parts', () => {
  const partBytes = 1_000_000;
  const bytes = randomBytes(2_500_000);
  const part = (n: number) => bytes.subarray((n - 1) * partBytes, n * partBytes);
  const begin = (path: string) =>
    sandbox.json<{ uploadId: string; partBytes: number }>('/files/uploads', {
      method: 'POST',
      json: { path, partBytes, mode: '0600' },
      status: 201,
    });
  const put = (uploadId: string, n: number) =>
    sandbox.json<{ writtenBytes: number }>(`/files/uploads/${uploadId}/parts/${n}`, { method: 'PUT', body: part(n) });

  test('takes parts in any order, at once and again, and puts the file in its place at complete', async () => {
    await sandbox.writeFile('/tmp/parts/target', 'old');
    const { uploadId } = await begin('/tmp/parts/target');
    await put(uploadId, 3);
    await Promise.all([put(uploadId, 1), put(uploadId, 2)]);
    expect(await put(uploadId, 1)).toEqual({ writtenBytes: partBytes });
    expect(await sandbox.output('cat /tmp/parts/target')).toBe('old');
    expect(
      await sandbox.json(`/files/uploads/${uploadId}/complete`, { method: 'POST', json: { parts: 3 } }),
    ).toMatchObject({ entry: { path: '/tmp/parts/target', sizeBytes: bytes.length, mode: '0600', owner: 'user' } });
    const digest = createHash('sha256').update(bytes).digest('hex');
    expect(await sandbox.output('sha256sum < /tmp/parts/target; ls -A /tmp/parts')).toBe(`${digest}  -\ntarget\n`);
  });

  test('that is given up leaves nothing', async () => {
    const { uploadId } = await begin('/tmp/given-up/target');
    await put(uploadId, 1);
    await sandbox.json(`/files/uploads/${uploadId}`, { method: 'DELETE', status: 204 });
    expect(await sandbox.output('ls -A /tmp/given-up')).toBe('');
    const late = await sandbox.call(`/files/uploads/${uploadId}/complete`, { method: 'POST', json: { parts: 1 } });
    expect((await errorOf(late)).status).toBe(404);
  });

  test('with a part missing is not completed', async () => {
    const { uploadId } = await begin('/tmp/incomplete');
    await put(uploadId, 2);
    const early = await sandbox.call(`/files/uploads/${uploadId}/complete`, { method: 'POST', json: { parts: 2 } });
    expect(await errorOf(early)).toMatchObject({ status: 400, code: 'invalid_argument' });
  });

  test('is not completed with fewer parts than were written, and goes on after that', async () => {
    const { uploadId } = await begin('/tmp/miscounted');
    for (const n of [1, 2, 3]) await put(uploadId, n);
    const complete = (parts: number) =>
      sandbox.call(`/files/uploads/${uploadId}/complete`, { method: 'POST', json: { parts } });
    expect(await errorOf(await complete(2))).toMatchObject({
      status: 409,
      code: 'conflict',
      message: 'Part 3 was written, too, and parts is 2.',
    });
    expect((await complete(3)).status).toBe(200);
  });

  test('has bounds on its parts', async () => {
    const json = { path: '/tmp/x', partBytes: 64 * 1024 * 1024 + 1 };
    expect((await sandbox.call('/files/uploads', { method: 'POST', json })).status).toBe(400);
    const { uploadId } = await begin('/tmp/bounds');
    for (const n of ['0', '10001', 'x']) {
      const answer = await sandbox.call(`/files/uploads/${uploadId}/parts/${n}`, { method: 'PUT', body: 'x' });
      expect([n, answer.status]).toEqual([n, 400]);
    }
    const tooLarge = await sandbox.call(`/files/uploads/${uploadId}/parts/1`, {
      method: 'PUT',
      body: new Uint8Array(partBytes + 1),
    });
    expect(tooLarge.status).toBe(413);
  });
});

describe('an archive', () => {
  test('goes down and up again with names, modes, links and bytes', async () => {
    await sandbox.output(
      'mkdir -p /tmp/from/sub && cd /tmp/from && head -c 700000 /dev/urandom > sub/blob && echo hi > é && chmod 750 é && ln -s sub/blob link',
    );
    const down = await sandbox.call('/files/archive?path=/tmp/from');
    expect(down.headers.get('content-type')).toBe('application/x-tar');
    const tar = new Uint8Array(await down.arrayBuffer());
    await writeFile(join(folder, 'down.tar'), tar);
    const { stdout } = await run('tar', ['-tf', join(folder, 'down.tar'), '--quoting-style=literal']);
    expect(stdout.split('\n').map((name) => name.replace(/^\.\//, ''))).toEqual(
      expect.arrayContaining(['sub/', 'sub/blob', 'é', 'link']),
    );
    const up = await sandbox.json('/files/archive?path=/tmp/to/new', { method: 'PUT', body: tar });
    expect(up).toEqual({ writtenBytes: 700_003 });
    expect(
      await sandbox.output(
        'diff -r /tmp/from /tmp/to/new && stat -c "%a %U" /tmp/to/new/é && readlink /tmp/to/new/link',
      ),
    ).toBe('750 user\nsub/blob\n');
  });

  test('whose paths or links lead out of its directory is refused and writes nothing there', async () => {
    await mkdir(join(folder, 'd'), { recursive: true });
    await writeFile(join(folder, 'd/escape'), 'x');
    await symlink('/etc', join(folder, 'd/out'));
    const archives = {
      climbing: ['--transform=s,escape,../../escaped,', 'escape'],
      linking: ['out'],
    };
    for (const [name, options] of Object.entries(archives)) {
      const file = join(folder, `${name}.tar`);
      await run('tar', ['-C', join(folder, 'd'), '-P', '-cf', file, ...options]);
      const answer = await sandbox.call('/files/archive?path=/tmp/bad/deep', {
        method: 'PUT',
        body: new Uint8Array(await readFile(file)),
      });
      expect([name, (await errorOf(answer)).status]).toEqual([name, 400]);
    }
    expect(await sandbox.output('ls -A /tmp/bad /tmp | grep -c escaped || true')).toBe('0\n');
  });

  test('that is no tar is 400', async () => {
    const answer = await sandbox.call('/files/archive?path=/tmp/notar', { method: 'PUT', body: 'x'.repeat(2000) });
    expect(await errorOf(answer)).toMatchObject({ status: 400, code: 'invalid_argument' });
  });
});

describe('a watch', () => {
  test('tells of what is made, written, renamed and removed below it, in directories made later too', async () => {
    await sandbox.output('mkdir -p /tmp/watched');
    const gone = new AbortController();
    const response = await sandbox.call('/files/watch?path=/tmp/watched&recursive=true', { signal: gone.signal });
    const seen: Parsed[] = [];
    const reading = (async () => {
      for await (const event of eventsOf(response)) seen.push(event);
    })().catch((error: unknown) => {
      if (!gone.signal.aborted) throw error;
    });
    await waitFor('the watch to be ready', () => seen.some(({ event }) => event === 'ready'), 5_000);
    const saw = (kind: string, path: string) =>
      waitFor(
        `${kind} ${path}`,
        () =>
          seen.some(({ event, data }) => event === 'change' && data.kind === kind && String(data.path).endsWith(path)),
        5_000,
      );
    await sandbox.output('mkdir /tmp/watched/new');
    await saw('create', 'new');
    await sandbox.output('echo x > /tmp/watched/new/file');
    await saw('create', 'new/file');
    await saw('write', 'new/file');
    await sandbox.output('mv /tmp/watched/new/file /tmp/watched/moved');
    await saw('rename', 'new/file');
    await sandbox.output('rm /tmp/watched/moved');
    await saw('remove', 'moved');
    gone.abort();
    await reading;
    expect(seen[0]?.event).toBe('ready');
  });

  test('of what does not exist is 404', async () => {
    expect(await errorOf(await sandbox.call('/files/watch?path=/tmp/not-there'))).toMatchObject({
      status: 404,
      code: 'file_not_found',
    });
  });
});
