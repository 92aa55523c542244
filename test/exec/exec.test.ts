import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, TestSandbox } from './calls.ts';

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

describe('a command’s result', () => {
  test('carries both outputs, the exit code and how it ended; a non-zero exit is no error', async () => {
    const result = await sandbox.exec('echo out; echo err >&2; exit 3');
    expect(result).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 3,
      signal: null,
      reason: 'exited',
      timedOut: false,
      truncated: false,
      encoding: 'utf8',
    });
    expect(result.processId).toMatch(/^[0-9a-f]{32}$/);
    expect(result.durationMs).toBeGreaterThan(0);
  });

  test('names the signal that ended it', async () => {
    expect(await sandbox.exec('kill -KILL $$')).toMatchObject({
      exitCode: null,
      signal: 'SIGKILL',
      reason: 'signalled',
    });
  });

  test('an argv is run as it is, without a shell', async () => {
    expect(await sandbox.exec(['printf', '%s|', 'a b', '$HOME', '*'])).toMatchObject({ stdout: 'a b|$HOME|*|' });
  });

  test('a command that does not exist is exit code 127 from the shell, and so from an argv', async () => {
    const shell = await sandbox.exec('no-such-command');
    expect(shell.exitCode).toBe(127);
    expect(shell.stderr).toContain('no-such-command');
    expect((await sandbox.exec(['/no/such/command'])).exitCode).toBe(127);
  });

  test('the environment, directory and user asked for hold', async () => {
    const result = await sandbox.exec('echo "$GREETING"; pwd; id -un', { env: { GREETING: 'höi = 1' }, cwd: '/tmp' });
    expect(result.stdout).toBe('höi = 1\n/tmp\nuser\n');
    expect(await sandbox.output('id -un', { user: 'root' })).toBe('root\n');
    expect(await sandbox.output('pwd', { cwd: 'relative-to-home' }).catch((error: Error) => error.message)).toContain(
      'cwd_not_found',
    );
  });

  test('standard input given is read to its end, text and bytes; without any it is empty', async () => {
    expect(await sandbox.output('cat', { stdin: 'zwölf\n' })).toBe('zwölf\n');
    expect(await sandbox.output('od -An -tx1', { stdinBase64: 'AP8Q' })).toBe(' 00 ff 10\n');
    expect(await sandbox.output('cat')).toBe('');
  });

  test('a login shell reads the profile', async () => {
    await sandbox.output('echo "export FROM_PROFILE=yes" >> ~/.profile; rm -f ~/.bash_profile ~/.bash_login');
    expect(await sandbox.output('echo "$FROM_PROFILE"', { login: true })).toBe('yes\n');
    expect(await sandbox.output('echo "$FROM_PROFILE"')).toBe('\n');
  });

  test('state in the file system stays from one command to the next', async () => {
    await sandbox.exec('echo kept > /tmp/kept');
    expect(await sandbox.output('cat /tmp/kept')).toBe('kept\n');
  });

  test('a command string of 1 MiB runs', async () => {
    const filler = 'x'.repeat(1024 * 1024 - 16);
    const result = await sandbox.exec(`echo 1MiB # ${filler}`);
    expect(result).toMatchObject({ exitCode: 0, stdout: '1MiB\n' });
  });

  test('200 requests at once are all answered, each with its own output', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        for (let attempt = 0; attempt < 100; attempt += 1) {
          const response = await sandbox.call('/exec', { method: 'POST', json: { command: `echo ${index}` } });
          if (response.status !== 429) return { status: response.status, body: (await response.json()) as object };
          expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
          await response.arrayBuffer();
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
        throw new Error('refused 100 times');
      }),
    );
    answers.forEach((answer, index) => expect(answer).toMatchObject({ status: 200, body: { stdout: `${index}\n` } }));
  });
});

describe('what can’t be run is refused', () => {
  const refused: [string, object, string][] = [
    ['a directory that does not exist', { command: 'true', cwd: '/no/such/dir' }, 'cwd_not_found'],
    ['a user that does not exist', { command: 'true', user: 'nobody-here' }, 'user_not_found'],
  ];
  test.each(refused)('%s', async (_name, json, code) => {
    expect(await errorOf(await sandbox.call('/exec', { method: 'POST', json }))).toMatchObject({ status: 400, code });
    const streamed = await sandbox.call('/exec', { method: 'POST', json, headers: { accept: 'text/event-stream' } });
    expect(await errorOf(streamed)).toMatchObject({ status: 400, code });
  });

  const malformed: [string, object][] = [
    ['no command', {}],
    ['an empty command', { command: '' }],
    ['an empty argv', { command: [] }],
    ['a number as command', { command: 1 }],
    ['NUL in a command', { command: 'echo \0' }],
    ['NUL in an argument', { command: ['echo', 'a\0b'] }],
    ['an unknown field', { command: 'true', timeout: 5 }],
    ['timeoutMs 0', { command: 'true', timeoutMs: 0 }],
    ['a negative timeoutMs', { command: 'true', timeoutMs: -1 }],
    ['timeoutMs over 24 hours', { command: 'true', timeoutMs: 86_400_001 }],
    ['a fraction as timeoutMs', { command: 'true', timeoutMs: 1.5 }],
    ['base64 that is none', { command: 'cat', stdinBase64: 'not base64!' }],
    ['two standard inputs', { command: 'cat', stdin: 'a', stdinBase64: 'YQ==' }],
    ['an environment name with =', { command: 'true', env: { 'a=b': 'c' } }],
    ['an environment value with NUL', { command: 'true', env: { a: 'b\0' } }],
    [
      '600 variables',
      { command: 'true', env: Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`v${i}`, '1'])) },
    ],
    ['an argument over 128 KiB', { command: ['echo', 'x'.repeat(131_072)] }],
    ['a command over 1 MiB', { command: `echo ${'x'.repeat(1024 * 1024)}` }],
    ['standard input over 256 KiB', { command: 'cat', stdin: 'x'.repeat(262_145) }],
    ['an output limit over 16 MiB', { command: 'true', outputLimitBytes: 16 * 1024 * 1024 + 1 }],
    ['a login argv', { command: ['true'], login: true }],
    ['an unknown encoding', { command: 'true', encoding: 'latin1' }],
  ];
  test.each(malformed)('%s: 400 with a sentence', async (_name, json) => {
    const error = await errorOf(await sandbox.call('/exec', { method: 'POST', json }));
    expect(error).toMatchObject({ status: 400, code: 'invalid_argument' });
    expect(error.message.length).toBeLessThan(500);
  });

  test('a sandbox that has ended: 410', async () => {
    const { id } = await sandbox.tenant.createSandbox();
    await sandbox.tenant.api(`/v1/sandboxes/${id}`, { method: 'DELETE' });
    const ended = await sandbox.tenant.api(`/v1/sandboxes/${id}/exec`, { method: 'POST', json: { command: 'true' } });
    expect(await errorOf(ended)).toMatchObject({ status: 410, code: 'sandbox_ended' });
  });
});
