import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, TestSandbox } from '../exec/calls.ts';

interface Entry {
  path: string;
  kind: string;
  owner: string;
  metadata: Record<string, string>;
  leadsTo: unknown;
}

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

const put = (path: string, headers: Record<string, string> = {}, query = ''): Promise<Response> =>
  sandbox.call(`/files/content?path=${path}${query}`, { method: 'PUT', body: 'x', headers });
const stat = async (path: string, query = ''): Promise<Entry> =>
  (await sandbox.json<{ entry: Entry }>(`/files/stat?path=${path}${query}`)).entry;
const post = <T = Record<string, unknown>>(path: string, json: object, status = 200): Promise<T> =>
  sandbox.json<T>(path, { method: 'POST', json, status });

describe('metadata', () => {
  test('of a file is what its last upload brought, is listed, and goes where it goes', async () => {
    const { entry } = (await (await put('/tmp/m/file', { 'X-Metadata-Author': 'Ada L.' })).json()) as { entry: Entry };
    expect(entry.metadata).toEqual({ author: 'Ada L.' });
    await post('/files/move', { source: '/tmp/m/file', destination: '/tmp/m/sub/moved', parents: true });
    const { entries } = await sandbox.json<{ entries: Entry[] }>('/files?path=/tmp/m/sub');
    expect(entries[0]?.metadata).toEqual({ author: 'Ada L.' });
    await put('/tmp/m/sub/moved');
    expect((await stat('/tmp/m/sub/moved')).metadata).toEqual({});
  });

  test('past its bounds is refused, and nothing is written', async () => {
    for (const headers of [
      { [`x-metadata-${'k'.repeat(247)}`]: 'v' },
      { 'x-metadata-a': 'v'.repeat(4087) },
      { 'x-metadata-a': 'tab\there' },
    ]) {
      const answer = await put('/tmp/m/refused', headers);
      expect(await errorOf(answer)).toMatchObject({ status: 400, code: 'invalid_argument' });
    }
    expect(await sandbox.json('/files/exists?path=/tmp/m/refused')).toEqual({ exists: false });
    expect((await put('/tmp/m/largest', { 'x-metadata-a': 'v'.repeat(3000) })).status).toBe(200);
  });
});

test('symlinks say where they lead when they are asked', async () => {
  await sandbox.output('mkdir -p /tmp/l/real && ln -s real /tmp/l/one && ln -s one /tmp/l/two');
  expect((await stat('/tmp/l/two')).leadsTo).toBeNull();
  expect(await stat('/tmp/l/two', '&resolveSymlinks=true')).toMatchObject({
    kind: 'symlink',
    symlinkTarget: 'one',
    leadsTo: { path: '/tmp/l/real', kind: 'directory', mode: '0755' },
  });
});

test('a privileged write lands where only root may write, and belongs to the user', async () => {
  expect(await errorOf(await put('/opt/mine/file'))).toMatchObject({ code: 'file_permission_denied' });
  expect((await put('/opt/mine/file', {}, '&privileged=true')).status).toBe(200);
  expect(await sandbox.output('stat -c %U /opt/mine /opt/mine/file')).toBe('user\nuser\n');
});

test('compose joins files', async () => {
  await sandbox.output('cd /tmp; printf a > part1; printf b > part2');
  const joined = await post('/files/compose', { sources: ['/tmp/part1', '/tmp/part2'], destination: '/tmp/whole' });
  expect(joined).toMatchObject({ writtenBytes: 2, entry: { path: '/tmp/whole' } });
  expect(await sandbox.output('cat /tmp/whole; ls /tmp/part*; true')).toMatch(/^ab/);
});

describe('a watcher', () => {
  test('gives each change once, with its entry, until it is removed', async () => {
    await sandbox.output('mkdir /tmp/watcher');
    const request = { path: '/tmp/watcher', recursive: true, includeEntries: true };
    const { watcherId } = await post<{ watcherId: string }>('/files/watchers', request, 201);
    await put('/tmp/watcher/sub/file');
    const take = () => post<{ changes: { kind: string; path: string }[] }>(`/files/watchers/${watcherId}/events`, {});
    const { changes } = await take();
    expect(changes.at(0)).toMatchObject({ kind: 'create', path: '/tmp/watcher/sub', entry: { kind: 'directory' } });
    expect(changes).toContainEqual(expect.objectContaining({ kind: 'write', path: '/tmp/watcher/sub/file' }));
    expect(await take()).toEqual({ changes: [], droppedEvents: 0 });
    expect((await sandbox.call(`/files/watchers/${watcherId}`, { method: 'DELETE' })).status).toBe(204);
    const gone = await sandbox.call(`/files/watchers/${watcherId}/events`, { method: 'POST' });
    expect(await errorOf(gone)).toMatchObject({ status: 404, code: 'watcher_not_found' });
    const malformed = await sandbox.call('/files/watchers/x/events', { method: 'POST' });
    expect(await errorOf(malformed)).toMatchObject({ status: 404, code: 'watcher_not_found' });
  });
});
