import { CommandExitError, NotFoundError, TimeoutError, type Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';

const missingPid = 999_999;
let e2b: E2b;
beforeAll(async () => {
  e2b = await createE2b();
});
afterAll(() => e2b.cleanUp());

describe.each(['secure', 'open'])('commands by the SDK in a sandbox that is %s', (kind) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    const envs = { FROM_CREATE: 'sandbox', BOTH: 'sandbox' };
    sandbox = await (kind === 'secure' ? e2b.create({ envs }) : e2b.createOpen({ envVars: envs }));
  });

  test('one gives its output and exit code, and calls back with it', async () => {
    const heard: string[] = [];
    const result = await sandbox.commands.run('echo out; echo err >&2', {
      onStdout: (text) => void heard.push(`out ${text}`),
      onStderr: (text) => void heard.push(`err ${text}`),
    });
    expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exitCode: 0 });
    expect(heard.toSorted()).toEqual(['err err\n', 'out out\n']);
    await expect(sandbox.commands.run('echo no; exit 3')).rejects.toMatchObject({ exitCode: 3, stdout: 'no\n' });
    await expect(sandbox.commands.run('exit 3')).rejects.toBeInstanceOf(CommandExitError);
  });

  test('characters that are cut between chunks arrive whole', async () => {
    const { stdout } = await sandbox.commands.run('for i in $(seq 20000); do printf "é😀"; done');
    expect(stdout).toBe('é😀'.repeat(20_000));
  });

  test('the environment is E2B’s, then the user’s, the sandbox’s, the command’s own', async () => {
    const { stdout } = await sandbox.commands.run('env', { envs: { BOTH: 'command', OWN: 'x y' } });
    const env = Object.fromEntries(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    expect(env).toMatchObject({
      E2B_SANDBOX: 'true',
      E2B_SANDBOX_ID: sandbox.sandboxId,
      E2B_TEMPLATE_ID: 'base',
      HOME: '/home/user',
      USER: 'user',
      LOGNAME: 'user',
      FROM_CREATE: 'sandbox',
      BOTH: 'command',
      OWN: 'x y',
    });
    expect(env['PATH']).toContain('/usr/bin');
    expect((await sandbox.commands.run('echo "[$OWN]"')).stdout).toBe('[]\n');
  });

  test.each([
    [undefined, '/home/user'],
    ['/tmp', '/tmp'],
    ['~', '/home/user'],
    ['~/.local', '/home/user/.local'],
    ['.local', '/home/user/.local'],
  ])('cwd %s is %s', async (cwd, directory) => {
    expect((await sandbox.commands.run('pwd', cwd === undefined ? {} : { cwd })).stdout).toBe(`${directory}\n`);
  });

  test('a cwd that does not exist is refused', async () => {
    await expect(sandbox.commands.run('pwd', { cwd: '/no/where' })).rejects.toMatchObject({
      name: 'InvalidArgumentError',
      message: expect.stringContaining("cwd '/no/where' does not exist") as string,
    });
  });

  test('root is root and begins at home; a user that there is not is refused', async () => {
    const { stdout } = await sandbox.commands.run('id -un; pwd; echo $HOME', { user: 'root' });
    expect(stdout).toBe('root\n/root\n/root\n');
    for (const user of ['nobody-here', '1000', 'x'.repeat(64)]) {
      await expect(sandbox.commands.run('true', { user })).rejects.toMatchObject({
        name: 'AuthenticationError',
        message: expect.stringContaining(`invalid username: '${user}'`) as string,
      });
    }
  });

  test('a deadline ends the command and is told as one', async () => {
    await expect(sandbox.commands.run('sleep 60.5', { timeoutMs: 500 })).rejects.toBeInstanceOf(TimeoutError);
    const gone = async () => (await sandbox.commands.run('pgrep -fx "sleep 60.5" || echo none')).stdout === 'none\n';
    await waitFor('the command to be killed', gone, 5_000);
    expect(await sandbox.commands.run('sleep 0.2; echo ok', { timeoutMs: 0 })).toMatchObject({ stdout: 'ok\n' });
  });

  test('one in the background is listed with its configuration, connected to, and killed', async () => {
    const command = await sandbox.commands.run('sleep 4711', { background: true, cwd: '/tmp', envs: { A: 'b' } });
    const listed = (await sandbox.commands.list()).find(({ pid }) => pid === command.pid);
    expect(listed).toEqual({
      pid: command.pid,
      cmd: '/bin/bash',
      args: ['-l', '-c', 'sleep 4711'],
      envs: { A: 'b' },
      cwd: '/tmp',
    });
    const connected = await sandbox.commands.connect(command.pid);
    expect(connected.pid).toBe(command.pid);
    expect(await sandbox.commands.kill(command.pid)).toBe(true);
    for (const handle of [command, connected]) {
      await expect(handle.wait()).rejects.toMatchObject({ exitCode: -1, error: 'signal: killed' });
    }
    expect(await sandbox.commands.kill(command.pid)).toBe(false);
    expect((await sandbox.commands.list()).map(({ pid }) => pid)).not.toContain(command.pid);
  });

  test('a pid that there is not: connect fails, kill is false', async () => {
    await expect(sandbox.commands.connect(missingPid)).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.commands.connect(missingPid)).rejects.toThrow(`process with pid ${missingPid} not found`);
    expect(await sandbox.commands.kill(missingPid)).toBe(false);
    expect(await sandbox.pty.kill(missingPid)).toBe(false);
    await expect(sandbox.commands.sendStdin(missingPid, 'x')).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.commands.sendStdin(missingPid, '')).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.commands.closeStdin(missingPid)).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.pty.resize(missingPid, { cols: 80, rows: 24 })).rejects.toBeInstanceOf(NotFoundError);
  });

  test('stdin arrives in order, as text and as bytes, large and empty, until it is closed', async () => {
    const command = await sandbox.commands.run('cat', { background: true, stdin: true });
    const large = 'x'.repeat(600_000);
    await command.sendStdin('one\n');
    await sandbox.commands.sendStdin(command.pid, '');
    await sandbox.commands.sendStdin(command.pid, new TextEncoder().encode('two ü\n'));
    await command.sendStdin(large);
    await command.closeStdin();
    expect((await command.wait()).stdout).toBe(`one\ntwo ü\n${large}`);
    await expect(command.sendStdin('late')).rejects.toBeInstanceOf(NotFoundError);
  });

  test('who disconnects leaves the process alone, and hears nothing more', async () => {
    const first: string[] = [];
    const command = await sandbox.commands.run('read a; echo "got $a"; read b; echo "got $b"', {
      background: true,
      stdin: true,
      onStdout: (text) => void first.push(text),
    });
    await command.sendStdin('1\n');
    await waitFor('the first answer', () => first.join('') === 'got 1\n', 5_000);
    await command.disconnect();
    const second = await sandbox.commands.connect(command.pid);
    await sandbox.commands.sendStdin(command.pid, '2\n');
    expect(await second.wait()).toMatchObject({ exitCode: 0, stdout: 'got 2\n' });
    expect(first.join('')).toBe('got 1\n');
  });

  test('output that nobody reads holds nothing up', async () => {
    const command = await sandbox.commands.run('read go; yes | head -c 20000000; touch /tmp/all-written', {
      background: true,
      stdin: true,
    });
    await command.disconnect();
    await sandbox.commands.sendStdin(command.pid, 'go\n');
    const done = async () => (await sandbox.commands.run('test -e /tmp/all-written && echo yes || true')).stdout !== '';
    await waitFor('all to be written', done, 20_000);
    expect(await sandbox.commands.run('rm /tmp/all-written')).toMatchObject({ exitCode: 0 });
  });

  test('a terminal: created, typed into, resized, reconnected, killed', async () => {
    const decoder = new TextDecoder();
    let [first, second] = ['', ''];
    const terminal = await sandbox.pty.create({
      cols: 80,
      rows: 24,
      envs: { GREETING: 'hello' },
      onData: (data) => void (first += decoder.decode(data, { stream: true })),
    });
    const type = (text: string) => sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode(text));
    await type('echo $GREETING $TERM; tput cols\n');
    await waitFor('the greeting and the width', () => /hello xterm-256color\r\n80\r\n/.test(first), 5_000);
    await sandbox.pty.resize(terminal.pid, { cols: 101, rows: 24 });
    await terminal.disconnect();
    const again = await sandbox.pty.connect(terminal.pid, { onData: (data) => void (second += decoder.decode(data)) });
    await type('tput cols; exit 7\n');
    await expect(again.wait()).rejects.toMatchObject({ exitCode: 7 });
    expect(second).toContain('101\r\n');
    expect(second).not.toContain('hello');

    const other = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined });
    expect(await sandbox.pty.kill(other.pid)).toBe(true);
    await expect(other.wait()).rejects.toMatchObject({ exitCode: -1 });
  });
});

test('a killed sandbox cuts its streams, and the SDK says so; another’s go on', async () => {
  const [doomed, other] = await Promise.all([e2b.create(), e2b.create()]);
  const terminal = await doomed.pty.create({ cols: 80, rows: 24, onData: () => undefined });
  const command = await doomed.commands.run('sleep 60', { background: true });
  const kept = await other.commands.run('read a; echo "got $a"', { background: true, stdin: true });
  const endings = [command.wait(), terminal.wait()].map((end) => end.catch((error: unknown) => error));
  await doomed.kill();
  for (const ending of endings) {
    const error = await ending;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(String(error)).toContain('sandbox was killed or reached its end of life');
  }
  expect(await doomed.isRunning()).toBe(false);
  await expect(doomed.commands.run('true')).rejects.toThrow('Sandbox is probably not running anymore');
  await kept.sendStdin('it\n');
  expect(await kept.wait()).toMatchObject({ stdout: 'got it\n' });
  expect(await other.isRunning()).toBe(true);
});

test('a sandbox that reaches its end of life cuts its streams as well', async () => {
  const sandbox = await e2b.create({ timeoutMs: 6_000 });
  const command = await sandbox.commands.run('sleep 60', { background: true });
  await expect(command.wait()).rejects.toThrow('sandbox was killed or reached its end of life');
  expect(await sandbox.isRunning()).toBe(false);
});
