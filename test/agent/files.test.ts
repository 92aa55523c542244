import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentSession } from '../../runner/agent/session.ts';
import type { FileRead, FileWrite, WatchEvent, WriteResult } from '../../runner/protocol/files.ts';
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

async function* pieces(...all: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of all) yield Buffer.from(piece);
}
const write = (path: string, text: string, over: Partial<FileWrite> = {}): Promise<WriteResult> =>
  session.write({ kind: 'file', path, user, ...over } as FileWrite, pieces(text), never);
async function read(request: FileRead): Promise<Buffer> {
  const { body } = await session.read(request, never);
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}
const readText = async (path: string): Promise<string> => (await read({ kind: 'file', path, user })).toString();
const shell = async (script: string, as = user): Promise<string> => {
  const { stdout, stderr } = await runToEnd(session, specOf(script, { user: as, cwd: '/home/user' }));
  return stdout + stderr;
};

describe('permissions', () => {
  test('nothing is read or written beyond the user’s own rights, also not through a link', async () => {
    await shell('ln -s /etc/shadow shadow-link');
    for (const path of ['/etc/shadow', 'shadow-link', '/proc/self/environ', '/proc/1/environ']) {
      await expect(readText(path)).rejects.toMatchObject({ code: 'file_permission_denied' });
    }
    for (const path of ['/etc/shadow', 'shadow-link', '/etc/new', '/root/new']) {
      await expect(write(path, 'x')).rejects.toMatchObject({ code: 'file_permission_denied' });
    }
  });

  test('root does not follow another user’s link in a shared directory', async () => {
    await shell('ln -s /etc/planted /tmp/planted');
    await expect(write('/tmp/planted', 'x', { user: 'root' })).rejects.toMatchObject({
      code: 'file_permission_denied',
    });
  });

  test('an overwritten file keeps its owner and mode, a new one is the writer’s', async () => {
    await shell('echo old > kept; chmod 640 kept; ln -s kept kept-link');
    await write('/home/user/kept-link', 'by root', { user: 'root' });
    await write('new/file', 'mine');
    expect(await shell('stat -c "%U %a" kept new new/file; cat kept; readlink kept-link')).toBe(
      'user 640\nuser 755\nuser 644\nby rootkept\n',
    );
  });
});

describe('writes are whole or nothing', () => {
  test('a body that fails leaves the target and nothing beside it', async () => {
    await write('whole/target', 'before');
    const failing = (async function* () {
      yield Buffer.from('half');
      throw new Error('client gone');
    })();
    await expect(session.write({ kind: 'file', path: 'whole/target', user }, failing, never)).rejects.toThrow(
      'client gone',
    );
    await waitFor('the temporary file to go', async () => (await shell('ls -A whole')) === 'target\n', 5_000);
    expect(await readText('whole/target')).toBe('before');
  });

  test('a full disk is told as no_space and leaves nothing', async () => {
    const body = (async function* () {
      for (let at = 0; at < 64; at += 1) yield Buffer.alloc(128 * 1024);
    })();
    const request = { kind: 'file' as const, path: '/small/big', user };
    await expect(session.write(request, body, never)).rejects.toMatchObject({ code: 'no_space' });
    expect(await shell('ls -A /small')).toBe('');
  });

  test('what is no regular file is refused without touching it', async () => {
    await shell('mkfifo pipe');
    for (const path of ['pipe', '/dev/zero', '/home/user']) {
      await expect(readText(path)).rejects.toMatchObject({ code: 'not_a_file' });
      await expect(write(path, 'x')).rejects.toMatchObject({ code: 'not_a_file' });
    }
  });

  test('parts of an upload land in any order and count only when whole', async () => {
    const { uploadId } = await session.file('uploadCreate', { path: 'up/loaded', user, partBytes: 4 });
    const part = (number: number, text: string): Promise<WriteResult> =>
      session.write({ kind: 'part', uploadId, user, part: number }, pieces(text), never);
    await part(2, 'ef');
    await expect(part(1, 'abcde')).rejects.toMatchObject({ code: 'file_too_large' });
    await expect(session.file('uploadComplete', { uploadId, user, parts: 2 })).rejects.toMatchObject({
      code: 'invalid_argument',
    });
    await part(1, 'abcd');
    await session.file('uploadComplete', { uploadId, user, parts: 2 });
    expect(await readText('up/loaded')).toBe('abcdef');
  });

  test('an upload is not completed with fewer parts than were written, nor with one whose rewrite was cut', async () => {
    const { uploadId } = await session.file('uploadCreate', { path: 'up/whole', user, partBytes: 4 });
    const part = (number: number, content: AsyncIterable<Uint8Array>): Promise<WriteResult> =>
      session.write({ kind: 'part', uploadId, user, part: number }, content, never);
    const complete = (parts: number) => session.file('uploadComplete', { uploadId, user, parts });
    for (const [index, text] of ['abcd', 'efgh', 'i'].entries()) await part(index + 1, pieces(text));
    await expect(complete(2)).rejects.toMatchObject({
      code: 'conflict',
      message: 'Part 3 was written, too, and parts is 2.',
    });
    await expect(part(2, pieces('XX', '345'))).rejects.toMatchObject({ code: 'file_too_large' });
    await expect(complete(3)).rejects.toMatchObject({ message: 'Part 2 has not arrived.' });
    await part(2, pieces('EFGH'));
    await complete(3);
    expect(await readText('up/whole')).toBe('abcdEFGHi');
  });
});

describe('reads', () => {
  test('ranges are exact', async () => {
    await write('digits', '0123456789');
    const range = async (rangeStart: number, rangeBytes?: number): Promise<string> =>
      (
        await read({
          kind: 'file',
          path: 'digits',
          user,
          rangeStart,
          ...(rangeBytes === undefined ? {} : { rangeBytes }),
        })
      ).toString();
    expect([await range(2, 3), await range(-4), await range(8, 100)]).toEqual(['234', '6789', '89']);
    await expect(range(10)).rejects.toMatchObject({ code: 'range_not_satisfiable' });
  });

  test('100 MB go in and out unchanged', async () => {
    const block = Buffer.alloc(1_000_000, 'glovebox ');
    const body = (async function* () {
      for (let at = 0; at < 100; at += 1) yield block;
    })();
    await session.write({ kind: 'file', path: 'large', user }, body, never);
    expect(await shell('stat -c %s large')).toBe('100000000\n');
    const whole = await read({ kind: 'file', path: 'large', user });
    expect(whole.subarray(-1_000_000).equals(block)).toBe(true);
    expect(whole.length).toBe(100_000_000);
  });
});

describe('archives', () => {
  test('a directory comes back the same, and GNU tar reads what we write', async () => {
    await shell(
      `mkdir -p tree/sub; echo hi > tree/file; chmod 750 tree/file; ln -s ../file tree/sub/link; touch "tree/ünï" "tree/${'n'.repeat(180)}"`,
    );
    const tar = await read({ kind: 'tar', path: 'tree', user });
    await session.write({ kind: 'tar', path: 'copy', user }, pieces(tar.subarray(0, 700), tar.subarray(700)), never);
    await session.write({ kind: 'file', path: 'tree.tar', user }, pieces(tar), never);
    expect(
      await shell(
        'mkdir gnu; tar xf tree.tar -C gnu; diff -r --no-dereference tree copy; diff -r --no-dereference tree gnu; stat -c %a copy/file',
      ),
    ).toBe('750\n');
  });

  test('names that are not UTF-8 are in it as they are', async () => {
    await shell(
      `rm -rf odd oddgnu; mkdir odd oddgnu; cd odd; d="$(printf 'd\\377')"; mkdir "$d"; echo 1 > "$d/$(printf '\\351t\\351')"; ln -s "$d" link`,
    );
    const tar = await read({ kind: 'tar', path: 'odd', user });
    await session.write({ kind: 'file', path: 'odd.tar', user }, pieces(tar), never);
    expect(
      await shell('tar xf odd.tar -C oddgnu; diff -r --no-dereference odd oddgnu; find oddgnu -type f | wc -l'),
    ).toBe('1\n');
  });

  test.each([
    ['a name with ..', 'tar cPf - --transform "s,^x,../../escaped," x'],
    ['an absolute name', 'tar cPf - --transform "s,^x,/tmp/escaped," x'],
    ['an absolute link', 'ln -s /etc out; tar cf - out'],
    ['a link that leaves', 'ln -s ../../../etc out; tar cf - out'],
    [
      'an entry below a link that is there',
      'mkdir -p ../target; ln -sfn /tmp ../target/d; mkdir d; echo > d/escaped; tar cf - d',
    ],
    ['a truncated archive', 'tar cf - x | head -c 600'],
    ['what is no archive', 'head -c 4096 /dev/urandom'],
  ])('%s is refused, and nothing lies outside the target', async (_, make) => {
    await shell(`rm -rf evil target; mkdir evil target; cd evil; echo x > x; { ${make}; } > ../evil.tar`);
    const { body } = await session.read({ kind: 'file', path: 'evil.tar', user }, never);
    await expect(session.write({ kind: 'tar', path: 'target', user }, body, never)).rejects.toMatchObject({
      code: 'invalid_argument',
    });
    expect(await shell('ls -d /tmp/escaped /home/user/escaped /home/escaped 2>/dev/null')).toBe('');
  });
});

test('the 65th transfer at once is told that they are too many, and goes on once others have ended', async () => {
  await shell('head -c 8M /dev/zero > large; echo little > small-enough');
  const gone = new AbortController();
  const open = () => session.read({ kind: 'file', path: 'large', user }, gone.signal);
  await Promise.all(Array.from({ length: 64 }, open)); // nobody takes what they bring
  await expect(open()).rejects.toMatchObject({ code: 'too_many_connections' });
  gone.abort(new Error('enough'));
  await waitFor('a place', async () => (await readText('small-enough').catch(() => undefined)) !== undefined, 10_000);
});

describe('trees', () => {
  test('list, move, copy and remove do what they say, and no more', async () => {
    await shell('mkdir -p t/a/b; echo 1 > t/a/one; echo 2 > t/a/b/two; ln -s /etc t/a/etc');
    const { entries } = await session.file('list', { path: 't', user, depth: 2 });
    expect(entries.map(({ path }) => path)).toEqual(
      ['a', 'a/b', 'a/etc', 'a/one'].map((name) => `/home/user/t/${name}`),
    );
    await session.file('copy', { source: 't/a', destination: 't/c', user, overwrite: false, recursive: true });
    expect(await shell('diff -r --no-dereference t/a t/c && readlink t/c/etc')).toBe('/etc\n');
    await session.file('move', { source: 't/a', destination: '/small/moved', user, overwrite: false });
    expect(await shell('cat /small/moved/b/two; ls t')).toBe('2\nc\n');
    const inside = session.file('move', { source: 't', destination: 't/c/t', user, overwrite: false });
    await expect(inside).rejects.toMatchObject({ code: 'invalid_argument' });
    await expect(session.file('remove', { path: 't', user, recursive: false })).rejects.toMatchObject({
      code: 'directory_not_empty',
    });
    expect(await session.file('remove', { path: 't', user, recursive: true })).toEqual({ removed: true });
    expect(await session.file('remove', { path: 't', user, recursive: true })).toEqual({ removed: false });
    expect(await shell('ls /etc/passwd')).toBe('/etc/passwd\n');
  });
});

describe('watches', () => {
  test('a recursive watch tells of what happens in directories that are made and renamed meanwhile', async () => {
    await shell('mkdir watched');
    const seen: WatchEvent[] = [];
    const sink = watchSink((events) => seen.push(...events));
    const watch = await session.watch({ path: 'watched', user, recursive: true }, sink);
    const told = (kind: string, name: string) => (): boolean =>
      seen.some((event) => event.kind === kind && event.path === `/home/user/watched/${name}`);
    await shell('mkdir -p watched/a/b; echo 1 > watched/a/b/file');
    // Until a is watched itself, what its entries were called in the meantime is nobody's to tell.
    await waitFor('the file', told('create', 'a/b/file'), 5_000);
    await shell('mv watched/a/b watched/a/c');
    await waitFor('the rename', told('create', 'a/c'), 5_000);
    await shell('echo 2 >> watched/a/c/file; chmod 600 watched/a/c/file; rm watched/a/c/file');
    await waitFor('the removal', told('remove', 'a/c/file'), 5_000);
    expect([
      told('create', 'a')(),
      told('rename', 'a/b')(),
      told('write', 'a/c/file')(),
      told('chmod', 'a/c/file')(),
    ]).toEqual([true, true, true, true]);
    watch.close();
    await shell('mkdir -m 700 /home/user/private; true');
    await shell('mkdir -m 700 /root-only', 'root');
    const forbidden = session.watch({ path: '/root-only', user, recursive: true }, sink);
    await expect(forbidden).rejects.toMatchObject({ code: 'file_permission_denied' });
  });
});
