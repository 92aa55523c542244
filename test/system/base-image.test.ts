import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestSandbox } from '../exec/calls.ts';

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create({ network: 'off' });
});
afterAll(() => sandbox.cleanUp());

const tools =
  'bash sudo git curl wget python python3 pip tput node npm rg fd jq sqlite3 convert identify zip unzip tar xz file patch ps less ssh sha256sum grep sed awk nl base64';

test('the tools that agents expect are there, for the user and for root', async () => {
  const missing = `for tool in ${tools}; do command -v $tool >/dev/null || echo $tool; done; git daemon -h 2>&1 | grep -q usage || echo git-daemon`;
  expect(await sandbox.output(missing)).toBe('');
  expect(await sandbox.output(missing, { user: 'root' })).toBe('');
});

test('a command runs as `user`, uid 1000, at home, with sudo that asks for nothing', async () => {
  expect(await sandbox.output('id -un; id -u; pwd; echo $HOME; sudo -n id -u; getent passwd user | cut -d: -f7')).toBe(
    'user\n1000\n/home/user\n/home/user\n0\n/bin/bash\n',
  );
  expect(await sandbox.output('id -u', { user: 'root' })).toBe('0\n');
});

test('a login shell knows root from the user, and starts no program to find out', async () => {
  const shell = `bash -x -l -c 'echo $PATH'`;
  const [user, root] = [await sandbox.exec(shell), await sandbox.exec(shell, { user: 'root' })];
  expect(user.stdout).toMatch(/^\/home\/user\/\.local\/bin:\/usr\/local\/bin:.*:\/usr\/games\n$/);
  expect(root.stdout).toMatch(/^\/usr\/local\/sbin:\/usr\/local\/bin:.*:\/sbin:\/bin\n$/);
  expect(`${user.stderr}${root.stderr}`).not.toContain('id -u');
});

test('/workspace and /skills are the user’s', async () => {
  expect(await sandbox.output('touch /workspace/a /skills/a && stat -c %U /workspace/a /skills/a')).toBe(
    'user\nuser\n',
  );
});

test('pip install works without flags, and what it installed is on the PATH', async () => {
  const wheel = `
import zipfile
info = 'demo_tool-1.0.dist-info'
with zipfile.ZipFile('demo_tool-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('demo_tool.py', 'def main(): print("installed")')
    wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\\nName: demo-tool\\nVersion: 1.0\\n')
    wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(f'{info}/entry_points.txt', '[console_scripts]\\ndemo-tool = demo_tool:main\\n')
    wheel.writestr(f'{info}/RECORD', '')
`;
  expect((await sandbox.writeFile('/home/user/make.py', wheel)).status).toBeLessThan(300);
  await sandbox.output('python make.py && pip install ./demo_tool-1.0-py3-none-any.whl');
  expect(await sandbox.output('demo-tool')).toBe('installed\n');
});

test('files can have extended attributes', async () => {
  const xattr = `python3 -c "import os; os.setxattr('/home/user/x', 'user.a', b'b'); print(os.getxattr('/home/user/x', 'user.a').decode())"`;
  expect(await sandbox.output(`touch /home/user/x && ${xattr}`)).toBe('b\n');
});
