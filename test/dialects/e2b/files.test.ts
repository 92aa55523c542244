import { FileNotFoundError, FileType, InvalidArgumentError, type Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createE2b, type E2b } from './client.ts';

describe.each([true, false])('files through the SDK (secure: %s)', (secure) => {
  let e2b: E2b;
  let sandbox: Sandbox;
  beforeAll(async () => {
    e2b = await createE2b();
    sandbox = await (secure ? e2b.create() : e2b.createOpen());
  });
  afterAll(() => e2b.cleanUp());

  test('what is written is read in every format, empty files too', async () => {
    const info = await sandbox.files.write('formats/text.txt', 'héllo');
    expect(info).toMatchObject({ name: 'text.txt', type: 'file', path: '/home/user/formats/text.txt' });
    expect(await sandbox.files.read('formats/text.txt')).toBe('héllo');
    expect(await sandbox.files.read('formats/text.txt', { format: 'bytes' })).toEqual(
      new TextEncoder().encode('héllo'),
    );
    expect(await (await sandbox.files.read('formats/text.txt', { format: 'blob' })).text()).toBe('héllo');
    const stream = await sandbox.files.read('formats/text.txt', { format: 'stream' });
    expect(await new Response(stream).text()).toBe('héllo');
    expect(await sandbox.files.read('formats/text.txt', { gzip: true })).toBe('héllo');
    await sandbox.files.write('formats/empty', '');
    expect(await sandbox.files.read('formats/empty')).toBe('');
    expect(await sandbox.files.read('formats/empty', { format: 'bytes' })).toHaveLength(0);
  });

  test('bodies of every kind and size arrive whole, plain and gzip', async () => {
    const large = 'Streamed content. '.repeat(40_000);
    const stream = () => new Blob([large]).stream();
    await sandbox.files.write('kinds/stream', stream());
    await sandbox.files.write('kinds/gzip-stream', stream(), { gzip: true });
    await sandbox.files.write('kinds/multipart', large);
    await sandbox.files.write('kinds/gzip', large, { gzip: true });
    await sandbox.files.writeFiles([
      { path: 'kinds/buffer', data: new TextEncoder().encode('buffer').buffer },
      { path: '/data/kinds/blob', data: new Blob(['blob']) },
    ]);
    const { stdout } = await sandbox.commands.run(
      'cd kinds && md5sum < stream && md5sum < gzip-stream && md5sum < multipart && md5sum < gzip',
    );
    expect(new Set(stdout.trim().split('\n')).size).toBe(1);
    expect(await sandbox.files.read('kinds/gzip', { gzip: true })).toBe(large);
    expect(await sandbox.files.read('kinds/buffer')).toBe('buffer');
    expect(await sandbox.files.read('/data/kinds/blob')).toBe('blob');
    const owners = await sandbox.commands.run('stat -c "%U:%G %a" /data /data/kinds /data/kinds/blob');
    expect(owners.stdout).toBe('user:user 755\nuser:user 755\nuser:user 644\n');
  });

  test('entries are told in all their parts', async () => {
    await sandbox.files.write('entries/file', 'four');
    await sandbox.commands.run('cd entries && ln -s file link && ln -s gone dangling && chmod 4751 file');
    const info = await sandbox.files.getInfo('entries/link');
    expect(info).toMatchObject({
      name: 'link',
      type: FileType.FILE,
      path: '/home/user/entries/link',
      mode: 0o751,
      permissions: 'Lrwxrwxrwx',
      owner: 'user',
      group: 'user',
      symlinkTarget: '/home/user/entries/file',
    });
    expect(await sandbox.files.getInfo('~/entries/file')).toMatchObject({ size: 4, permissions: 'urwxr-x--x' });
    expect((await sandbox.files.getInfo('')).path).toBe('/home/user');
    expect((await sandbox.files.getInfo('/tmp')).permissions).toBe('dtrwxrwxrwx');
    expect((await sandbox.files.getInfo('/dev/null')).permissions).toBe('Dcrw-rw-rw-');
    expect(await sandbox.files.getInfo('entries/dangling')).toMatchObject({
      type: undefined,
      symlinkTarget: '/home/user/entries/dangling',
    });
    const { modifiedTime } = await sandbox.files.getInfo('entries/file');
    expect(Math.abs((modifiedTime?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test('directories are made, listed depth first, moved and removed', async () => {
    expect(await sandbox.files.makeDir('tree/a/b')).toBe(true);
    expect(await sandbox.files.makeDir('tree/a/b')).toBe(false);
    await sandbox.files.write('tree/a.txt', 'x');
    await expect(sandbox.files.makeDir('tree/a.txt')).rejects.toBeInstanceOf(InvalidArgumentError);
    await sandbox.files.write('tree/a/b/deep', 'x');
    const paths = async (depth?: number, path = 'tree') =>
      (await sandbox.files.list(path, depth === undefined ? {} : { depth })).map((entry) =>
        entry.path.replace('/home/user/', ''),
      );
    expect(await paths()).toEqual(['tree/a', 'tree/a.txt']);
    expect(await paths(100)).toEqual(['tree/a', 'tree/a/b', 'tree/a/b/deep', 'tree/a.txt']);
    await sandbox.commands.run('ln -s tree to-tree');
    expect(await paths(2, 'to-tree')).toEqual(['to-tree/a', 'to-tree/a/b', 'to-tree/a.txt']);
    const moved = await sandbox.files.rename('tree/a', 'elsewhere/made/a');
    expect(moved).toMatchObject({ path: '/home/user/elsewhere/made/a', type: FileType.DIR });
    expect([await sandbox.files.exists('tree/a'), await sandbox.files.exists('elsewhere/made/a/b/deep')]).toEqual([
      false,
      true,
    ]);
    await sandbox.files.remove('elsewhere');
    await sandbox.files.remove('elsewhere');
    expect(await sandbox.files.exists('elsewhere')).toBe(false);
    await expect(sandbox.files.list('tree/a.txt')).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  test('what is missing is told as missing', async () => {
    const missing = (work: Promise<unknown>) => expect(work).rejects.toBeInstanceOf(FileNotFoundError);
    await missing(sandbox.files.read('nowhere'));
    await missing(sandbox.files.read('nowhere', { format: 'stream' }));
    await missing(sandbox.files.getInfo('nowhere'));
    await missing(sandbox.files.list('nowhere'));
    await missing(sandbox.files.rename('nowhere', 'there'));
    await missing(sandbox.files.watchDir('nowhere', () => undefined));
    expect(await sandbox.files.exists('there')).toBe(false);
  });

  test('root works in its own home and everywhere', async () => {
    const info = await sandbox.files.write('by-root', 'x', { user: 'root' });
    expect(info.path).toBe('/root/by-root');
    expect(await sandbox.files.getInfo('by-root', { user: 'root' })).toMatchObject({ owner: 'root' });
    expect(await sandbox.files.read('/root/by-root')).toBe('x');
  });

  test('metadata is kept with the file', async () => {
    const metadata = { author: 'mish', Purpose: 'Up load' };
    const stored = { author: 'mish', purpose: 'Up load' };
    expect((await sandbox.files.write('meta', 'x', { metadata })).metadata).toEqual(stored);
    expect((await sandbox.files.rename('meta', 'meta2')).metadata).toEqual(stored);
    const listed = await sandbox.files.list('.');
    expect(listed.find(({ name }) => name === 'meta2')?.metadata).toEqual(stored);
    expect((await sandbox.files.write('meta2', 'y', { useOctetStream: true })).metadata).toBeUndefined();
    expect((await sandbox.files.getInfo('meta2')).metadata).toBeUndefined();
  });

  test('URLs for others carry what opens them', async () => {
    await sandbox.files.write('for others.txt', 'content');
    const expiry = secure ? { useSignatureExpiration: 60 } : {};
    const down = new URL(await sandbox.downloadUrl('for others.txt', expiry));
    const up = new URL(await sandbox.uploadUrl('from others', expiry));
    expect(down.searchParams.has('signature')).toBe(secure);
    // The signature tells whose it is; without one, on one address for all, the sandbox has to be named.
    const headers: Record<string, string> = secure ? {} : { 'e2b-sandbox-id': sandbox.sandboxId };
    expect(await (await fetch(down, { headers })).text()).toBe('content');
    const form = new FormData();
    form.append('file', 'file content');
    const answer = await fetch(up, { method: 'POST', body: form, headers });
    expect(await answer.json()).toEqual([{ name: 'from others', path: '/home/user/from others', type: 'file' }]);
    expect(await sandbox.files.read('from others')).toBe('file content');
  });
});
