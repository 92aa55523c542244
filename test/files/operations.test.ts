import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, TestSandbox } from '../exec/calls.ts';

interface Entry {
  name: string;
  path: string;
  kind: string;
  sizeBytes: number;
  mode: string;
  owner: string;
  modifiedAt: string;
  symlinkTarget: string | null;
}

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

const at = (path: string): string => `path=${encodeURIComponent(path)}`;
const post = <T>(path: string, json: unknown) => sandbox.json<T>(`/files/${path}`, { method: 'POST', json });
const exists = async (path: string) => (await sandbox.json<{ exists: boolean }>(`/files/exists?${at(path)}`)).exists;
const list = (path: string, depth = 1) =>
  sandbox.json<{ entries: Entry[]; truncated: boolean }>(`/files?${at(path)}&depth=${depth}`);

describe('directories', () => {
  test('are made with their parents; again is fine; a file in the way is 409', async () => {
    expect(await post('mkdir', { path: '/tmp/a/b/c', mode: '0700' })).toMatchObject({
      created: true,
      entry: { path: '/tmp/a/b/c', kind: 'directory', mode: '0700', owner: 'user' },
    });
    expect(await post('mkdir', { path: '/tmp/a/b/c' })).toMatchObject({ created: false });
    await sandbox.writeFile('/tmp/a/file', 'x');
    const inTheWay = await sandbox.call('/files/mkdir', { method: 'POST', json: { path: '/tmp/a/file' } });
    expect(await errorOf(inTheWay)).toMatchObject({ status: 409, code: 'file_exists' });
  });

  test('are listed sorted, to the depth asked for, symlinks as such', async () => {
    await sandbox.output('mkdir -p /tmp/tree/x/y && cd /tmp/tree && touch b a x/y/deep && ln -s /etc/passwd link');
    const shallow = await list('/tmp/tree');
    expect(shallow.truncated).toBe(false);
    expect(shallow.entries.map(({ name, kind }) => [name, kind])).toEqual([
      ['a', 'file'],
      ['b', 'file'],
      ['link', 'symlink'],
      ['x', 'directory'],
    ]);
    expect(shallow.entries[2]?.symlinkTarget).toBe('/etc/passwd');
    const deep = await list('/tmp/tree', 3);
    expect(deep.entries.map(({ path }) => path)).toContain('/tmp/tree/x/y/deep');
  });

  test('with more than 10,000 entries are cut and say so', async () => {
    await sandbox.output('mkdir /tmp/many && cd /tmp/many && seq 1 10050 | xargs touch');
    const { entries, truncated } = await list('/tmp/many');
    expect([entries.length, truncated]).toEqual([10_000, true]);
  });

  test('are listed whatever times their files claim to be of', async () => {
    await sandbox.output(
      'mkdir /dev/shm/times; cd /dev/shm/times; touch -d @99999999999999 far; touch -d @-99999999999999 long-ago',
    );
    const { entries } = await list('/dev/shm/times');
    expect(entries.map(({ modifiedAt }) => modifiedAt)).toEqual([
      '9999-12-31T23:59:59.999Z',
      '0000-01-01T00:00:00.000Z',
    ]);
    expect((await sandbox.call(`/files/content?${at('/dev/shm/times/far')}`)).status).toBe(200);
  });

  test('that are missing, or files, can’t be listed', async () => {
    expect(await errorOf(await sandbox.call('/files?path=/tmp/nowhere'))).toMatchObject({ code: 'file_not_found' });
    await sandbox.writeFile('/tmp/plain', 'x');
    expect(await errorOf(await sandbox.call('/files?path=/tmp/plain'))).toMatchObject({ code: 'not_a_directory' });
  });
});

describe('stat and exists', () => {
  test('tell what there is', async () => {
    await sandbox.output('printf 12345 > /tmp/five && chmod 604 /tmp/five && ln -sf five /tmp/to-five');
    const { entry } = await sandbox.json<{ entry: Entry }>('/files/stat?path=/tmp/five');
    expect(entry).toMatchObject({ kind: 'file', sizeBytes: 5, mode: '0604', owner: 'user', symlinkTarget: null });
    expect(Math.abs(Date.parse(entry.modifiedAt) - Date.now())).toBeLessThan(60_000);
    expect(await sandbox.json('/files/stat?path=/tmp/to-five')).toMatchObject({ entry: { kind: 'symlink' } });
    expect(await sandbox.json('/files/stat?path=/tmp/to-five&followSymlinks=true')).toMatchObject({
      entry: { kind: 'file', sizeBytes: 5 },
    });
    expect([await exists('/tmp/five'), await exists('/tmp/nothing')]).toEqual([true, false]);
  });
});

describe('move, copy, remove', () => {
  test('move renames, and replaces only when asked to', async () => {
    await sandbox.writeFile('/tmp/m1', 'one');
    await sandbox.writeFile('/tmp/m2', 'two');
    const refused = await sandbox.call('/files/move', {
      method: 'POST',
      json: { source: '/tmp/m1', destination: '/tmp/m2' },
    });
    expect(await errorOf(refused)).toMatchObject({ status: 409, code: 'file_exists' });
    expect(await post('move', { source: '/tmp/m1', destination: '/tmp/m2', overwrite: true })).toMatchObject({
      entry: { path: '/tmp/m2', sizeBytes: 3 },
    });
    expect(await sandbox.output('cat /tmp/m2')).toBe('one');
    expect(await exists('/tmp/m1')).toBe(false);
  });

  test('copy copies files, and directories when recursive', async () => {
    await sandbox.output('mkdir -p /tmp/c/sub && echo x > /tmp/c/sub/f && chmod 640 /tmp/c/sub/f');
    await post('copy', { source: '/tmp/c', destination: '/tmp/d', recursive: true });
    expect(await sandbox.output('cat /tmp/d/sub/f; stat -c %a /tmp/d/sub/f')).toBe('x\n640\n');
    const shallow = await sandbox.call('/files/copy', {
      method: 'POST',
      json: { source: '/tmp/c', destination: '/tmp/e' },
    });
    expect(shallow.status).toBe(400);
  });

  test('remove takes a symlink and not its target, a full directory only when recursive, and nothing is fine', async () => {
    await sandbox.output('mkdir -p /tmp/r/s && touch /tmp/r/s/f && ln -s /tmp/r/s/f /tmp/r/l');
    const remove = (query: string) => sandbox.call(`/files?${query}`, { method: 'DELETE' });
    expect(await (await remove('path=/tmp/r/l')).json()).toEqual({ removed: true });
    expect(await exists('/tmp/r/s/f')).toBe(true);
    expect(await errorOf(await remove('path=/tmp/r'))).toMatchObject({ status: 409, code: 'directory_not_empty' });
    expect(await (await remove('path=/tmp/r&recursive=true')).json()).toEqual({ removed: true });
    expect(await (await remove('path=/tmp/r')).json()).toEqual({ removed: false });
  });
});
