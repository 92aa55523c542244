import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentSession } from '../../runner/agent/session.ts';
import type { FileInfo, FileWrite, WatchEvent, WriteResult } from '../../runner/protocol/files.ts';
import { limits } from '../../runner/protocol/limits.ts';
import { waitFor } from '../wait-for.ts';
import type { AgentContainer } from './agent-container.ts';
import { runToEnd, specOf, startAgentContainer, watchSink } from './agent-container.ts';

let container: AgentContainer;
let session: AgentSession;

beforeAll(async () => {
  container = await startAgentContainer();
  session = container.session;
});
afterAll(() => container.dispose());

const never = new AbortController().signal;
const user = 'user';

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
const write = (path: string, text = 'x', over: Partial<FileWrite> = {}): Promise<WriteResult> =>
  session.write({ kind: 'file', path, user, ...over } as FileWrite, once(text), never);
const stat = (path: string): Promise<FileInfo> =>
  session.file('stat', { path, user, followSymlinks: false, resolveLinks: true });
const shell = async (script: string, as = user): Promise<string> => {
  const { stdout, stderr } = await runToEnd(session, specOf(script, { user: as, cwd: '/home/user' }));
  return stdout + stderr;
};

describe('a privileged call', () => {
  test('writes where its user may not, and what it makes is the user’s', async () => {
    await expect(write('/priv/a/file')).rejects.toMatchObject({ code: 'file_permission_denied' });
    await write('/priv/a/file', 'x', { privileged: true });
    await session.file('mkdir', { path: '/priv/b/c', user, privileged: true });
    const owners = await shell('stat -c "%U:%G %a" /priv /priv/a /priv/a/file /priv/b/c');
    expect(owners).toBe('user:user 755\nuser:user 755\nuser:user 644\nuser:user 755\n');
  });

  test('takes over a file of root, and reads what only root may', async () => {
    await shell('mkdir -m 700 /vault && echo secret > /vault/file && chmod 600 /vault/file', 'root');
    const listed = await session.file('list', { path: '/vault', user, privileged: true, depth: 1 });
    expect(listed.entries).toMatchObject([{ path: '/vault/file', owner: 'root', mode: 0o600 }]);
    const { body } = await session.read({ kind: 'file', path: '/vault/file', user, privileged: true }, never);
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    expect(Buffer.concat(parts).toString()).toBe('secret\n');
    await write('/vault/file', 'taken', { privileged: true });
    expect(await shell('stat -c "%U %a" /vault/file; stat -c %U /vault', 'root')).toBe('user 600\nroot\n');
  });

  test('neither follows another user’s link in a shared directory nor sees the agent’s own files, nor outlasts its call', async () => {
    await shell('ln -s /etc/planted /tmp/planted-by-nobody && chown -h nobody /tmp/planted-by-nobody', 'root');
    await expect(write('/tmp/planted-by-nobody', 'x', { privileged: true })).rejects.toMatchObject({
      code: 'file_permission_denied',
    });
    const own = session.read({ kind: 'file', path: '/proc/self/environ', user, privileged: true }, never);
    await expect(own).rejects.toMatchObject({ code: 'file_permission_denied' });
    await expect(write('/etc/new')).rejects.toMatchObject({ code: 'file_permission_denied' });
  });
});

describe('metadata', () => {
  test('comes and goes with the file: a write replaces all of it, moving and copying keep it', async () => {
    const written = await write('meta', 'x', { metadata: { author: 'mish', empty: '' } });
    expect(written.entry?.metadata).toEqual({ author: 'mish', empty: '' });
    await session.file('move', { source: 'meta', destination: 'made/for/meta', user, overwrite: false, parents: true });
    expect((await stat('made/for/meta')).metadata).toEqual({ author: 'mish', empty: '' });
    await session.file('copy', {
      source: 'made/for/meta',
      destination: 'copied',
      user,
      overwrite: false,
      recursive: false,
    });
    expect((await stat('copied')).metadata).toEqual({ author: 'mish', empty: '' });
    await write('copied', 'again');
    expect((await stat('copied')).metadata).toBeUndefined();
  });

  test('that a program has set is read as far as it is text and within bounds', async () => {
    await write('own');
    await shell(`python3 -c "
import os
os.setxattr('own', 'user.e2b.ünï', 'wörld'.encode())
os.setxattr('own', 'user.e2b.__proto__', b'plain')
os.setxattr('own', 'user.e2b.bytes', bytes([255, 254]))
os.setxattr('own', 'user.other', b'not ours')
"`);
    const { metadata = {} } = await stat('own');
    expect(Object.entries(metadata).filter(([key]) => key !== '__proto__')).toEqual([['ünï', 'wörld']]);
    await shell(`python3 -c "
import os
open('/dev/shm/many', 'w').close()
for n in range(3000): os.setxattr('/dev/shm/many', 'user.e2b.' + str(n), b'v' * 50)
"; true`);
    const many = (await stat('/dev/shm/many')).metadata ?? {};
    const bytes = Object.entries(many).reduce((sum, [key, value]) => sum + 9 + key.length + value.length, 0);
    expect(bytes).toBeLessThanOrEqual(limits.metadataBytes);
  });
});

describe('entries', () => {
  test('of symlinks say where they lead in the end, of others what they are', async () => {
    await shell(
      'mkdir -p l/dir; echo 1 > l/file; ln -s file l/one; ln -s one l/two; ln -s dir l/d; ln -s gone l/dangling',
    );
    await shell('ln -s loop l/loop; mkfifo l/fifo');
    expect(await stat('l/two')).toMatchObject({
      kind: 'symlink',
      symlinkTarget: 'one',
      leadsTo: { path: '/home/user/l/file', kind: 'file', mode: 0o644 },
    });
    expect((await stat('l/d')).leadsTo).toMatchObject({ kind: 'directory' });
    expect([(await stat('l/dangling')).leadsTo, (await stat('l/loop')).leadsTo]).toEqual([undefined, undefined]);
    expect([(await stat('l/fifo')).special, (await stat('/dev/null')).special]).toEqual(['fifo', 'character']);
  });

  test('of a directory with the longest names fit an answer', async () => {
    await shell(`mkdir -p /dev/shm/long && cd /dev/shm/long && python3 -c "
for n in range(6000): open(chr(1) * 245 + str(n), 'w').close()"`);
    const { entries, truncated } = await session.file('list', { path: '/dev/shm/long', user, depth: 1 });
    expect([entries.length > 1000, truncated, session.connected]).toEqual([true, true, true]);
  });
});

test('compose joins its sources in order and removes them, or changes nothing', async () => {
  await Promise.all([write('c/1', 'one,'), write('c/2', 'two,'), write('c/3', 'three')]);
  const compose = (sources: string[], destination: string) => session.file('compose', { sources, destination, user });
  await expect(compose(['c/1', 'c/missing'], 'c/all')).rejects.toMatchObject({ code: 'file_not_found' });
  await expect(compose(['c/1', 'c'], 'c/all')).rejects.toMatchObject({ code: 'not_a_file' });
  await expect(compose(['c/1', './c/2'], 'c/2')).rejects.toMatchObject({ code: 'invalid_argument' });
  expect(await shell('ls c')).toBe('1\n2\n3\n');
  expect(await compose(['c/1', 'c/2', 'c/3'], 'd/all')).toMatchObject({
    entry: { path: '/home/user/d/all', sizeBytes: 13 },
    writtenBytes: 13,
  });
  expect(await shell('cat d/all; ls -A c d')).toBe('one,two,threec:\n\nd:\nall\n');
});

describe('a watch', () => {
  const kinds = (events: WatchEvent[]): string[] =>
    events.map(({ kind, path }) => `${kind} ${path.slice('/home/user/'.length)}`);

  test('tells a write through the API as what it does to its target, and its staging not at all', async () => {
    await shell('mkdir w');
    const seen: WatchEvent[] = [];
    const request = { path: 'w', user, recursive: false, includeEntries: true };
    const watch = await session.watch(
      request,
      watchSink((events) => seen.push(...events)),
    );
    await write('w/file', 'first');
    await waitFor('the first write', () => seen.length >= 3, 5_000);
    expect(kinds(seen)).toEqual(['create w/file', 'chmod w/file', 'write w/file']);
    expect(seen[2]?.entry).toMatchObject({ path: '/home/user/w/file', kind: 'file', sizeBytes: 5 });
    await write('w/file', 'second!');
    await waitFor('the second write', () => seen.length >= 5, 5_000);
    expect(kinds(seen.slice(3))).toEqual(['chmod w/file', 'write w/file']);
    await shell('mv w/file w/moved; rm w/moved');
    await waitFor('the removal', () => seen.length >= 8, 5_000);
    const rest = seen.slice(5);
    expect(kinds(rest)).toEqual(['rename w/file', 'create w/moved', 'remove w/moved']);
    expect([rest[0]?.entry, rest[2]?.entry]).toEqual([undefined, undefined]);
    watch.close();
  });

  test('tells a burst whole and in order', async () => {
    await shell('mkdir burst');
    const seen: WatchEvent[] = [];
    let dropped = 0;
    const sink = watchSink((events, droppedEvents) => {
      seen.push(...events);
      dropped += droppedEvents;
    });
    const watch = await session.watch({ path: 'burst', user, recursive: false }, sink);
    await shell(`python3 -c "
import os
for n in range(4000): os.mkdir('burst/' + str(n))"`);
    await waitFor('all of it', () => seen.length >= 4000, 10_000);
    expect(kinds(seen)).toEqual(Array.from({ length: 4000 }, (_, n) => `create burst/${n}`));
    expect(dropped).toBe(0);
    watch.close();
  });

  test('of which a watcher gathers the events has all that was done before they are fetched', async () => {
    await shell('mkdir p');
    const { watcherId } = await session.file('watcherCreate', { path: 'p', user, recursive: true });
    for (let round = 0; round < 20; round += 1) {
      await write(`p/${round}`);
      const { events } = await session.file('watcherEvents', { watcherId });
      expect(kinds(events)).toEqual([`create p/${round}`, `chmod p/${round}`, `write p/${round}`]);
    }
    expect(await session.file('watcherEvents', { watcherId })).toEqual({
      root: '/home/user/p',
      events: [],
      droppedEvents: 0,
    });
    await session.file('watcherRemove', { watcherId });
    for (const operation of ['watcherEvents', 'watcherRemove'] as const) {
      await expect(session.file(operation, { watcherId })).rejects.toMatchObject({ code: 'watcher_not_found' });
    }
  });

  test('holds no more events than its bound, and counts the others', async () => {
    await shell('mkdir flood');
    const { watcherId } = await session.file('watcherCreate', { path: 'flood', user, recursive: false });
    await shell(`cd flood; python3 -c "
import os
for n in range(10000): open(str(n), 'w').close(); os.unlink(str(n))"`);
    const { events, droppedEvents } = await session.file('watcherEvents', { watcherId });
    expect(events.length).toBeLessThanOrEqual(limits.watcherEvents);
    expect(events.length + droppedEvents).toBeGreaterThan(limits.watcherEvents);
    await session.file('watcherRemove', { watcherId });
  });

  test('is refused past the sandbox’s limit, of what is no directory, and of what is not there', async () => {
    const create = (path: string) => session.file('watcherCreate', { path, user, recursive: false });
    await expect(create('/nowhere')).rejects.toMatchObject({ code: 'file_not_found', path: '/nowhere' });
    await expect(create('/etc/passwd')).rejects.toMatchObject({ code: 'not_a_directory' });
    const made = await Promise.all(Array.from({ length: limits.watchesPerSandbox }, () => create('/tmp')));
    await expect(create('/tmp')).rejects.toMatchObject({ code: 'too_many_watches' });
    for (const { watcherId } of made) await session.file('watcherRemove', { watcherId });
  });
});
