import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, TestSandbox } from '../exec/calls.ts';

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

const at = (path: string): string => `path=${encodeURIComponent(path)}`;

describe('paths that mean harm', () => {
  test('NUL, emptiness, excess and unknown users are 400 on every route', async () => {
    const bad = [
      at('/tmp/a\0b'),
      'path=',
      at(`/${'x'.repeat(4096)}`),
      `${at('/tmp')}&user=${encodeURIComponent('a b')}`,
    ];
    for (const query of bad) {
      for (const [method, path] of [
        ['GET', '/files'],
        ['GET', '/files/content'],
        ['PUT', '/files/content'],
        ['GET', '/files/stat'],
        ['GET', '/files/exists'],
        ['GET', '/files/watch'],
        ['GET', '/files/archive'],
        ['DELETE', '/files'],
      ] as const) {
        const init = method === 'PUT' ? { method, body: 'x' } : { method };
        const answer = await sandbox.call(`${path}?${query}`, init);
        expect({ method, path, ...(await errorOf(answer)) }).toMatchObject({
          method,
          path,
          status: 400,
          code: 'invalid_argument',
        });
      }
    }
    const body = await sandbox.call('/files/mkdir', { method: 'POST', json: { path: '/tmp/\0' } });
    expect(await errorOf(body)).toMatchObject({ status: 400, code: 'invalid_argument' });
  });

  test('.. leads no further than the sandbox’s own root, with the user’s rights', async () => {
    const up = '../'.repeat(40);
    expect(await (await sandbox.readFile(`${up}etc/hostname`)).text()).toBe(await sandbox.output('cat /etc/hostname'));
    expect(await errorOf(await sandbox.readFile(`${up}etc/shadow`))).toMatchObject({ code: 'file_permission_denied' });
  });

  test('a symlink to /etc/shadow is neither read nor written through without the right to', async () => {
    await sandbox.output('ln -sf /etc/shadow /tmp/shadow');
    expect(await errorOf(await sandbox.readFile('/tmp/shadow'))).toMatchObject({
      status: 403,
      code: 'file_permission_denied',
    });
    const before = await sandbox.output('cat /etc/shadow', { user: 'root' });
    await sandbox.writeFile('/tmp/shadow', 'root::0:0:99999:7:::');
    expect(await sandbox.output('cat /etc/shadow', { user: 'root' })).toBe(before);
  });

  test('a directory where a file is meant, and a file where a directory is', async () => {
    expect(await errorOf(await sandbox.readFile('/tmp'))).toMatchObject({ status: 400, code: 'not_a_file' });
    expect(await errorOf(await sandbox.writeFile('/tmp', 'x'))).toMatchObject({ status: 400, code: 'not_a_file' });
    const below = await sandbox.writeFile('/etc/passwd/x', 'x', '&user=root');
    expect(await errorOf(below)).toMatchObject({ status: 400, code: 'not_a_directory' });
    const head = await sandbox.call('/files/content?path=/tmp', { method: 'HEAD' });
    expect(head.status).toBe(400);
  });

  test('devices and pipes are no files: nobody waits for them', async () => {
    await sandbox.output('mkfifo /tmp/pipe');
    for (const path of ['/tmp/pipe', '/dev/zero']) {
      expect({ path, ...(await errorOf(await sandbox.readFile(path))) }).toMatchObject({
        path,
        status: 400,
        code: 'not_a_file',
      });
    }
  });

  test('what is missing or forbidden says so', async () => {
    expect(await errorOf(await sandbox.readFile('/tmp/missing'))).toMatchObject({
      status: 404,
      code: 'file_not_found',
    });
    expect(await errorOf(await sandbox.writeFile('/etc/mine', 'x'))).toMatchObject({
      status: 403,
      code: 'file_permission_denied',
    });
    const removed = await sandbox.call('/files?path=/etc/passwd', { method: 'DELETE' });
    expect(await errorOf(removed)).toMatchObject({ status: 403, code: 'file_permission_denied' });
  });

  test('malformed parameters are 400', async () => {
    for (const query of ['depth=0', 'depth=33', 'depth=x', 'recursive=maybe', 'unknown=1']) {
      expect([query, (await sandbox.call(`/files?path=/tmp&${query}`)).status]).toEqual([query, 400]);
    }
    for (const mode of ['999', '8', '77777', 'rw-']) {
      expect([mode, (await sandbox.writeFile('/tmp/mode', 'x', `&mode=${mode}`)).status]).toEqual([mode, 400]);
    }
  });
});

test('a full disk is 507, the file that was there stays, and the sandbox lives on', async () => {
  // /dev/shm is small in a container and fails with the same errno as a disk at its quota.
  await sandbox.output('rm -rf /dev/shm/*; echo old > /dev/shm/kept');
  const full = await sandbox.writeFile('/dev/shm/kept', new Uint8Array(100_000_000));
  expect(await errorOf(full)).toMatchObject({ status: 507, code: 'insufficient_storage' });
  expect(await sandbox.output('cat /dev/shm/kept; ls -A /dev/shm')).toBe('old\nkept\n');
});

test('in a sandbox that has ended every file route is 410', async () => {
  const { id } = await sandbox.tenant.createSandbox();
  await sandbox.tenant.api(`/v1/sandboxes/${id}`, { method: 'DELETE' });
  const calls: [string, RequestInit & { json?: unknown }][] = [
    ['/files?path=/tmp', {}],
    ['/files/content?path=/etc/hostname', {}],
    ['/files/content?path=/tmp/x', { method: 'PUT', body: 'x' }],
    ['/files/content?path=/tmp/x', { method: 'PUT', body: new Uint8Array(1_000_000) }],
    ['/files/mkdir', { method: 'POST', json: { path: '/tmp/x' } }],
    ['/files/archive?path=/tmp', {}],
    ['/files/watch?path=/tmp', {}],
  ];
  for (const [path, init] of calls) {
    const answer = await sandbox.tenant.api(`/v1/sandboxes/${id}${path}`, init);
    expect({ path, ...(await errorOf(answer)) }).toMatchObject({ path, status: 410, code: 'sandbox_ended' });
  }
});
