import { FileType, FilesystemEventType } from 'e2b';
import { expect } from 'vitest';
import { waitFor } from '../../../wait-for.ts';
import type { Ground, Guarantees } from './methods.ts';

const DEADLINE_MS = 10_000;
const BYTES = Uint8Array.of(0, 255, 128, 10);

const writeBytes = async ({ sandbox, directory }: Ground): Promise<string> => {
  const { path } = await sandbox.files.write(`${directory}/bytes`, BYTES.slice().buffer);
  return path;
};

export const files: Guarantees<'Filesystem'> = {
  'Filesystem.read as text': async ({ sandbox, directory }) => {
    await sandbox.files.write(`${directory}/text`, 'grüße');
    expect(await sandbox.files.read(`${directory}/text`)).toBe('grüße');
    await expect(sandbox.files.read(`${directory}/missing`)).rejects.toThrow('does not exist');
  },
  'Filesystem.read as bytes': async (ground) => {
    const path = await writeBytes(ground);
    expect(await ground.sandbox.files.read(path, { format: 'bytes' })).toEqual(BYTES);
  },
  'Filesystem.read as a stream': async (ground) => {
    const path = await writeBytes(ground);
    const stream = await ground.sandbox.files.read(path, { format: 'stream' });
    expect(new Uint8Array(await new Response(stream).arrayBuffer())).toEqual(BYTES);
  },
  'Filesystem.write': async ({ sandbox, directory }) => {
    const path = `${directory}/made/on/the/way`;
    expect(await sandbox.files.write(path, 'one')).toMatchObject({ name: 'way', path, type: FileType.FILE });
    await sandbox.files.write(path, 'two', { user: 'root' });
    expect(await sandbox.files.read(path)).toBe('two');
    expect(await sandbox.files.getInfo(path)).toMatchObject({ owner: 'root' });
  },
  'Filesystem.write_files': async ({ sandbox, directory }) => {
    const entries = ['a', 'b'].map((name) => ({ path: `${directory}/${name}`, data: name }));
    const written = await sandbox.files.writeFiles(entries);
    expect(written.map(({ path }) => path)).toEqual(entries.map(({ path }) => path));
    expect(await sandbox.files.read(`${directory}/b`)).toBe('b');
  },
  'Filesystem.list': async ({ sandbox, directory }) => {
    await sandbox.files.write(`${directory}/sub/file`, '');
    expect((await sandbox.files.list(directory)).map(({ name }) => name)).toEqual(['sub']);
    const deep = await sandbox.files.list(directory, { depth: 2 });
    expect(deep.map(({ path, type }) => [path, type])).toEqual([
      [`${directory}/sub`, FileType.DIR],
      [`${directory}/sub/file`, FileType.FILE],
    ]);
  },
  'Filesystem.exists': async ({ sandbox, directory }) => {
    expect(await sandbox.files.exists(directory)).toBe(true);
    expect(await sandbox.files.exists(`${directory}/missing`)).toBe(false);
  },
  'Filesystem.get_info': async (ground) => {
    const path = await writeBytes(ground);
    expect(await ground.sandbox.files.getInfo(path)).toMatchObject({
      name: 'bytes',
      path,
      type: FileType.FILE,
      size: BYTES.length,
      permissions: '-rw-r--r--',
      owner: 'user',
      group: 'user',
      modifiedTime: expect.any(Date) as Date,
    });
  },
  'Filesystem.remove': async ({ sandbox, directory }) => {
    await sandbox.files.write(`${directory}/sub/file`, '');
    await sandbox.files.remove(`${directory}/sub`);
    expect(await sandbox.files.exists(`${directory}/sub`)).toBe(false);
  },
  'Filesystem.rename': async ({ sandbox, directory }) => {
    await sandbox.files.write(`${directory}/old`, 'content');
    expect(await sandbox.files.rename(`${directory}/old`, `${directory}/new`)).toMatchObject({ name: 'new' });
    expect(await sandbox.files.read(`${directory}/new`)).toBe('content');
    expect(await sandbox.files.exists(`${directory}/old`)).toBe(false);
  },
  'Filesystem.make_dir': async ({ sandbox, directory }) => {
    expect(await sandbox.files.makeDir(`${directory}/a/b`)).toBe(true);
    expect(await sandbox.files.makeDir(`${directory}/a/b`)).toBe(false);
  },
  'Filesystem.watch_dir': async ({ sandbox, directory }) => {
    const names: string[] = [];
    const watch = await sandbox.files.watchDir(directory, ({ name }) => void names.push(name), { recursive: true });
    await sandbox.files.write(`${directory}/sub/file`, '');
    await waitFor('the new file in the new directory', () => names.includes('sub/file'), DEADLINE_MS);
    expect(names).toContain('sub');
    await watch.stop();
  },
};

export const watches: Guarantees<'WatchHandle'> = {
  // In Python events are fetched, in JavaScript they come to the callback.
  'WatchHandle.get_new_events': async ({ sandbox, directory }) => {
    const types: FilesystemEventType[] = [];
    const watch = await sandbox.files.watchDir(directory, ({ type }) => void types.push(type));
    await sandbox.commands.run(`cd ${directory} && echo > a && mv a b && chmod 600 b && rm b`);
    await waitFor('the last event', () => types.includes(FilesystemEventType.REMOVE), DEADLINE_MS);
    const { CREATE, WRITE, RENAME, CHMOD, REMOVE } = FilesystemEventType;
    expect(new Set(types)).toEqual(new Set([CREATE, WRITE, RENAME, CHMOD, REMOVE]));
    await watch.stop();
  },
  'WatchHandle.stop': async ({ sandbox, directory }) => {
    const names: string[] = [];
    let isEnded = false;
    const onExit = () => void (isEnded = true);
    const watch = await sandbox.files.watchDir(directory, ({ name }) => void names.push(name), { onExit });
    await watch.stop();
    await waitFor('the watch to end', () => isEnded, DEADLINE_MS);
    await sandbox.files.write(`${directory}/unseen`, '');
    expect(names).toEqual([]);
  },
};
