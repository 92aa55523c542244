import { FilesystemEventType, InvalidArgumentError, type FilesystemEvent, type Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';
import { createEnvd, type Envd } from './envd.ts';

const { CREATE, CHMOD, WRITE, RENAME, REMOVE } = FilesystemEventType;

describe.each([true, false])('watchDir (secure: %s)', (secure) => {
  let e2b: E2b;
  let sandbox: Sandbox;
  beforeAll(async () => {
    e2b = await createE2b();
    sandbox = await (secure ? e2b.create() : e2b.createOpen());
  });
  afterAll(() => e2b.cleanUp());

  test('tells an upload of a new file in three events, and what a program does', async () => {
    await sandbox.files.makeDir('w');
    const seen: FilesystemEvent[] = [];
    const handle = await sandbox.files.watchDir('w', (event) => void seen.push(event), { includeEntry: true });
    await sandbox.files.write('w/file', 'content');
    await waitFor('the upload', () => seen.length >= 3, 5_000);
    expect(seen.map(({ type, name }) => [type, name])).toEqual([CREATE, CHMOD, WRITE].map((type) => [type, 'file']));
    expect(seen[2]?.entry).toMatchObject({ path: '/home/user/w/file', size: 7, type: 'file' });
    await sandbox.commands.run('mv w/file w/moved && rm w/moved');
    await waitFor('the removal', () => seen.some(({ type }) => type === REMOVE), 5_000);
    expect(seen.slice(3).map(({ type, name }) => [type, name])).toEqual([
      [RENAME, 'file'],
      [CREATE, 'moved'],
      [REMOVE, 'moved'],
    ]);
    await handle.stop();
  });

  test('covers directories that come later when it is recursive', async () => {
    await sandbox.files.makeDir('r');
    const seen: FilesystemEvent[] = [];
    const handle = await sandbox.files.watchDir('r', (event) => void seen.push(event), { recursive: true });
    await sandbox.files.write('r/new/deep/file', 'x');
    await waitFor('the file', () => seen.some(({ type, name }) => type === WRITE && name === 'new/deep/file'), 5_000);
    expect(seen[0]).toMatchObject({ type: CREATE, name: 'new' });
    await handle.stop();
  });

  test('misses nothing of a burst', async () => {
    await sandbox.files.makeDir('burst');
    const seen: string[] = [];
    const handle = await sandbox.files.watchDir('burst', ({ name }) => void seen.push(name));
    await sandbox.commands.run(`python3 -c "
import os
for n in range(6000): os.mkdir('burst/' + str(n))"`);
    await waitFor('all of it', () => seen.length >= 6000, 20_000);
    expect(seen).toEqual(Array.from({ length: 6000 }, (_, n) => String(n)));
    await handle.stop();
  });

  test('ends at its deadline, and of a file never begins', async () => {
    const ended = Promise.withResolvers<Error | undefined>();
    await sandbox.files.watchDir('.', () => undefined, { timeoutMs: 500, onExit: (error) => ended.resolve(error) });
    expect(await ended.promise).toMatchObject({ name: 'TimeoutError' });
    await sandbox.files.write('plain', 'x');
    await expect(sandbox.files.watchDir('plain', () => undefined)).rejects.toBeInstanceOf(InvalidArgumentError);
  });
});

test('a watch of a sandbox that is killed ends, and its client learns why', async () => {
  const e2b = await createE2b();
  const sandbox = await e2b.create();
  const ended = Promise.withResolvers<Error | undefined>();
  await sandbox.files.watchDir('.', () => undefined, { timeoutMs: 0, onExit: (error) => ended.resolve(error) });
  await sandbox.kill();
  expect(await ended.promise).toMatchObject({ name: 'TimeoutError', message: expect.stringContaining('killed') });
  await e2b.cleanUp();
});

describe('a watcher, which is asked for its events', () => {
  let envd: Envd;
  beforeAll(async () => {
    envd = await createEnvd();
  });
  afterAll(() => envd.wire.tenant.cleanUp());

  const upload = (path: string) =>
    envd.send('POST', `/files?path=${path}`, { body: 'x', headers: { 'content-type': 'application/octet-stream' } });

  test('has all that was done before, once, and its server keeps nothing in mind', async () => {
    await envd.rpc('MakeDir', { path: 'polled' });
    const created = await envd.rpc('CreateWatcher', { path: 'polled', recursive: true, includeEntry: true });
    const { watcherId } = created.body as { watcherId: string };
    const events = async () =>
      ((await envd.rpc('GetWatcherEvents', { watcherId })).body as { events: Record<string, unknown>[] }).events;
    for (const name of ['one', 'two']) {
      await upload(`polled/${name}`);
      const told = await events();
      expect(told.map((event) => [event.type, event.name])).toEqual([
        ['EVENT_TYPE_CREATE', name],
        ['EVENT_TYPE_CHMOD', name],
        ['EVENT_TYPE_WRITE', name],
      ]);
      expect(told[2]?.entry).toMatchObject({ path: `/home/user/polled/${name}`, size: '1' });
    }
    await upload('polled/one');
    expect((await events()).map((event) => event.type)).toEqual(['EVENT_TYPE_CHMOD', 'EVENT_TYPE_WRITE']);
    expect(await events()).toEqual([]);
    expect((await envd.rpc('RemoveWatcher', { watcherId })).body).toEqual({});
    expect((await envd.rpc('GetWatcherEvents', { watcherId })).body).toMatchObject({ code: 'not_found' });
  });

  test('that lost events says so', async () => {
    await envd.output('mkdir -p /tmp/flood');
    const { watcherId } = (await envd.rpc('CreateWatcher', { path: '/tmp/flood' })).body as { watcherId: string };
    await envd.output(`cd /tmp/flood && python3 -c "
import os
for n in range(10000): open(str(n), 'w').close(); os.unlink(str(n))"`);
    expect((await envd.rpc('GetWatcherEvents', { watcherId })).body).toMatchObject({ code: 'data_loss' });
    expect((await envd.rpc('GetWatcherEvents', { watcherId })).body).toEqual({ events: [] });
  });

  test('is one of at most 64 of its sandbox', async () => {
    const create = () => envd.rpc('CreateWatcher', { path: '/var' });
    const answers = await Promise.all(Array.from({ length: 70 }, create));
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(6);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(60);
  });
});
