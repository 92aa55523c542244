import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, TestSandbox } from '../exec/calls.ts';
import { createTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

let sandbox: TestSandbox;
let disk: OwnDisk;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
  disk = await createOwnDisk(sandbox.tenant);
});
afterAll(() => sandbox.cleanUp());

type Fields = Record<string, unknown>;

const ask = (to: OwnDisk, way: 'to' | 'from', body: Fields): Promise<Response> =>
  to.api(`/${way}-sandbox`, { method: 'POST', json: { sandboxId: sandbox.id, ...body } });

const copied = async (way: 'to' | 'from', body: Fields): Promise<Fields> => {
  const response = await ask(disk, way, body);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Fields;
};

const refused = async (way: 'to' | 'from', body: Fields, of: OwnDisk = disk) => errorOf(await ask(of, way, body));

const read = (path: string, of: OwnDisk = disk): Promise<Response> =>
  of.api(`/content?path=${encodeURIComponent(path)}`);

const contentOf = async (path: string): Promise<Buffer> => {
  const response = await read(path);
  if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
};

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.each([
  ['0 B', 0],
  ['1 B', 1],
  ['300 KiB', 300 * 1024],
  ['64 MiB', 64 * 1024 * 1024],
])('a file of %s', (name, sizeBytes) => {
  test('goes to a sandbox and back byte for byte', async () => {
    const bytes = randomBytes(sizeBytes);
    const path = `/sizes/${name}`;
    const inside = `/tmp/sizes/deep/${name}`;
    await disk.put(path, bytes);
    expect(await copied('to', { path, destination: inside })).toEqual({ filesCount: 1, writtenBytes: sizeBytes });
    expect(await sandbox.output(`sha256sum < '${inside}'`)).toBe(`${digestOf(bytes)}  -\n`);
    expect(await copied('from', { source: inside, path: `${path} again` })).toEqual({
      filesCount: 1,
      contentBytes: sizeBytes,
      skippedCount: 0,
    });
    expect(digestOf(await contentOf(`${path} again`))).toBe(digestOf(bytes));
  });
});

test('what is there is replaced, each way, and the file is the user’s on whose behalf it is copied', async () => {
  await disk.put('/over/a.txt', 'from the disk');
  await sandbox.output('mkdir -p ~/over && echo old > ~/over/a.txt');
  await copied('to', { path: '/over/a.txt', destination: 'over/a.txt' });
  expect(await sandbox.output('cat ~/over/a.txt && stat -c %U ~/over/a.txt')).toBe('from the diskuser\n');
  await copied('to', { path: '/over/a.txt', destination: '/root/new/a.txt', user: 'root' });
  expect(await sandbox.output('stat -c %U /root/new/a.txt', { user: 'root' })).toBe('root\n');
  await sandbox.output('printf "from the sandbox" > ~/over/a.txt');
  await copied('from', { source: 'over/a.txt', path: '/over/a.txt' });
  expect((await contentOf('/over/a.txt')).toString()).toBe('from the sandbox');
});

test('the history of a sandbox tells what was copied from it', async () => {
  await sandbox.output('mkdir -p /tmp/noted/d && touch /tmp/noted/file /tmp/noted/d/x');
  await copied('from', { source: '/tmp/noted/file', path: '/noted/file' });
  await copied('from', { source: '/tmp/noted/d', path: '/noted/d/' });
  const { entries } = await sandbox.json<{ entries: { type: string; path?: string }[] }>('/logs?limit=100');
  const files = entries.filter(({ type }) => type === 'file').map(({ path }) => path);
  expect(files).toEqual(expect.arrayContaining(['/tmp/noted/file', '/tmp/noted/d/']));
});

describe('a directory', () => {
  const tree: Record<string, string> = {
    'top.txt': 'top',
    empty: '',
    'with space/naïve 漢.md': '# hi',
    'deep/er/and/deeper.bin': 'x'.repeat(700_000),
  };

  test('goes to a sandbox with all that lies below it, beside what is there', async () => {
    for (const [path, text] of Object.entries(tree)) await disk.put(`/tree/${path}`, text);
    await disk.put('/tree2/other', 'not in it');
    await sandbox.output('mkdir -p /tmp/tree/deep && echo kept > /tmp/tree/kept && echo old > /tmp/tree/top.txt');
    expect(await copied('to', { path: '/tree/', destination: '/tmp/tree' })).toEqual({
      filesCount: 4,
      writtenBytes: 700_000 + 3 + 4,
    });
    expect(await sandbox.output('cd /tmp/tree && find . -type f | LC_ALL=C sort')).toBe(
      ['./deep/er/and/deeper.bin', './empty', './kept', './top.txt', './with space/naïve 漢.md', ''].join('\n'),
    );
    expect(await sandbox.output('cd /tmp/tree && cat top.txt "with space"/* kept && wc -c < empty')).toBe(
      'top# hikept\n0\n',
    );
    expect(await sandbox.output('sha256sum < /tmp/tree/deep/er/and/deeper.bin')).toBe(
      `${digestOf(Buffer.from(tree['deep/er/and/deeper.bin'] ?? ''))}  -\n`,
    );
  });

  test('comes to a disk whole; links are skipped and counted', async () => {
    await sandbox.output(
      `mkdir -p /tmp/out/'with space'/sub /tmp/out/nothing && cd /tmp/out && printf a > 'with space/sub/ä' && : > empty &&
       head -c 900000 /dev/urandom > large && ln -s large link && ln -s /etc out && mkfifo pipe`,
    );
    await disk.put('/out/large', 'old');
    await disk.put('/out/kept', 'kept');
    expect(await copied('from', { source: '/tmp/out', path: '/out/' })).toEqual({
      filesCount: 3,
      contentBytes: 900_001,
      skippedCount: 2,
    });
    expect((await contentOf('/out/with space/sub/ä')).toString()).toBe('a');
    expect((await contentOf('/out/empty')).length).toBe(0);
    expect((await contentOf('/out/kept')).toString()).toBe('kept');
    expect(await sandbox.output('sha256sum < /tmp/out/large')).toBe(`${digestOf(await contentOf('/out/large'))}  -\n`);
    expect((await read('/out/link')).status).toBe(404);
  });

  test('of more than 1,000 files is refused and nothing of it is visible', async () => {
    await sandbox.output('mkdir -p /tmp/many && cd /tmp/many && for n in $(seq 1001); do : > $n; done');
    expect(await refused('from', { source: '/tmp/many', path: '/many/' })).toMatchObject({
      status: 413,
      code: 'payload_too_large',
    });
    expect((await read('/many/1')).status).toBe(404);
    await sandbox.output('rm /tmp/many/1');
    expect(await copied('from', { source: '/tmp/many', path: '/many/' })).toMatchObject({ filesCount: 1000 });
    expect((await contentOf('/many/1001')).length).toBe(0);
    expect(await copied('to', { path: '/many/', destination: '/tmp/many again' })).toMatchObject({ filesCount: 1000 });
    await disk.put('/many/one/more', '');
    expect(await refused('to', { path: '/many/', destination: '/tmp/many more' })).toMatchObject({ status: 413 });
  });

  test('with a name that a disk can’t have is refused, the sentence says which, and nothing of it is visible', async () => {
    for (const [name, shown] of [
      ['b\\nc', '"/named/b\\nc"'],
      ['d\\rx/file', '"/named/d\\rx/file"'],
      ['latin-\\351', '«latin-\ufffd»'],
    ] as const) {
      await sandbox.output(
        `rm -rf /tmp/named; mkdir /tmp/named; cd /tmp/named; : > a; name="$(printf '${name}')"; mkdir -p "$(dirname "$name")"; : > "$name"`,
      );
      expect(await refused('from', { source: '/tmp/named', path: '/named/' })).toMatchObject({
        status: 400,
        code: 'invalid_argument',
        message: expect.stringContaining(shown) as string,
      });
      expect((await read('/named/a')).status).toBe(404);
    }
  });

  test('with a name that is a file’s and a directory’s, or twice the same in a file system, is 409', async () => {
    await disk.put('/clash/a', 'file');
    await disk.put('/clash/a/b', 'below it');
    expect(await refused('to', { path: '/clash/', destination: '/tmp/clash' })).toMatchObject({ status: 409 });
    await disk.put('/twice/a//b', '1');
    await disk.put('/twice/a/b', '2');
    expect(await refused('to', { path: '/twice/', destination: '/tmp/clash' })).toMatchObject({ status: 409 });
    expect(await sandbox.output('ls /tmp/clash 2>&1 || true')).toContain('No such file');
  });
});

describe('what goes wrong', () => {
  test('a sandbox that is killed in the middle leaves the disk as it was, and the answer says so', async () => {
    await disk.put('/killed/file', 'as it was');
    const wholeAndPart = { '/killed/': '/tmp/d', '/killed/file': '/tmp/d/file' };
    for (const [path, source] of Object.entries(wholeAndPart)) {
      const doomed = await sandbox.tenant.createSandbox({});
      const inDoomed = new TestSandbox(sandbox.tenant, doomed.id);
      await inDoomed.output('mkdir /tmp/d && truncate -s 4G /tmp/d/file');
      const answer = refused('from', { sandboxId: doomed.id, source, path });
      const isRead = async () => Number(await inDoomed.output('fincore -nb -o RES /tmp/d/file')) > 10_000_000;
      await waitFor('the file to be read', isRead, 10_000);
      await sandbox.tenant.api(`/v1/sandboxes/${doomed.id}`, { method: 'DELETE' });
      expect(await answer).toMatchObject({ status: 410, code: 'sandbox_ended' });
      expect((await contentOf('/killed/file')).toString()).toBe('as it was');
    }
  });

  test('a full disk of the sandbox is 507 and the file there stays', async () => {
    await disk.put('/full/file', new Uint8Array(16 * 1024 * 1024));
    await sandbox.output('echo old > /dev/shm/kept && head -c 60000000 /dev/zero > /dev/shm/rest');
    expect(await refused('to', { path: '/full/file', destination: '/dev/shm/kept' })).toMatchObject({
      status: 507,
      code: 'insufficient_storage',
    });
    expect(await sandbox.output('cat /dev/shm/kept; rm /dev/shm/rest; ls -A /dev/shm')).toBe('old\nkept\n');
  });

  test('what is missing says so, and the way on', async () => {
    await disk.put('/there', 'x');
    const inside = { path: '/there', destination: '/tmp/there' };
    expect(await refused('to', { ...inside, path: '/not/there' })).toMatchObject({ status: 404, code: 'not_found' });
    expect(await refused('to', { ...inside, path: '/not/' })).toMatchObject({ status: 404, code: 'not_found' });
    const out = { source: '/tmp/missing', path: '/new' };
    expect(await refused('from', out)).toMatchObject({ status: 404, code: 'file_not_found' });
    expect(await refused('from', { ...out, path: '/new/' })).toMatchObject({ status: 404, code: 'file_not_found' });
    expect(await refused('from', { ...out, source: '/tmp' })).toMatchObject({ status: 400, code: 'not_a_file' });
    expect(await refused('from', { source: '/etc/passwd', path: '/new/' })).toMatchObject({ status: 400 });
    expect(await refused('from', { ...out, source: '/etc/shadow' })).toMatchObject({
      status: 403,
      code: 'file_permission_denied',
    });
    expect(await refused('to', { ...inside, destination: '/etc/there' })).toMatchObject({
      status: 403,
      code: 'file_permission_denied',
    });
    for (const path of ['', 'there', '/../there', '/a/./b']) {
      expect([path, (await refused('to', { ...inside, path })).status]).toEqual([path, 400]);
      expect([path, (await refused('from', { source: '/etc/hostname', path })).status]).toEqual([path, 400]);
    }
    expect((await read('/new')).status).toBe(404);
  });

  test('an ended sandbox is 410, a foreign one and a foreign disk are 404, each way', async () => {
    const { id: ended } = await sandbox.tenant.createSandbox({});
    await sandbox.tenant.api(`/v1/sandboxes/${ended}`, { method: 'DELETE' });
    const stranger = await createTenant();
    try {
      const { id: foreign } = await stranger.createSandbox({});
      const foreignDisk = await createOwnDisk(stranger);
      const missing = '0'.repeat(12) + '4' + '0'.repeat(3) + '8' + '0'.repeat(15);
      for (const [bytes, path] of [
        ['x', '/foreign/small'],
        [new Uint8Array(400_000), '/foreign/large'],
      ] as const) {
        await disk.put(path, bytes);
        await foreignDisk.put(path, bytes);
        const into = { path, destination: '/tmp/x' };
        const out = { source: '/etc/hostname', path };
        for (const [sandboxId, status, code] of [
          [ended, 410, 'sandbox_ended'],
          [foreign, 404, 'not_found'],
          [missing, 404, 'not_found'],
          ['nonsense', 404, 'not_found'],
        ] as const) {
          expect({ sandboxId, ...(await refused('to', { ...into, sandboxId })) }).toMatchObject({ status, code });
          expect({ sandboxId, ...(await refused('to', { ...into, path: '/foreign/', sandboxId })) }).toMatchObject({
            status,
          });
          expect({ sandboxId, ...(await refused('from', { ...out, sandboxId })) }).toMatchObject({ status, code });
          expect({ sandboxId, ...(await refused('from', { ...out, path: '/foreign/', sandboxId })) }).toMatchObject({
            status,
          });
        }
        for (const of of [
          { ...foreignDisk, api: ofOthers(foreignDisk.id) },
          { ...disk, api: ofOthers('nonsense') },
        ]) {
          expect(await refused('to', into, of)).toMatchObject({ status: 404, code: 'not_found' });
          expect(await refused('from', out, of)).toMatchObject({ status: 404, code: 'not_found' });
          expect(await refused('from', { ...out, path: '/foreign/' }, of)).toMatchObject({
            status: 404,
            code: 'not_found',
          });
        }
      }
    } finally {
      await stranger.cleanUp();
    }
  });

  test('past the tenant’s storage nothing is copied', async () => {
    const poor = await createTenant({ maxStorageBytes: 1000 });
    try {
      const { id } = await poor.createSandbox({});
      const own = new TestSandbox(poor, id);
      await own.output('mkdir /tmp/d && head -c 600 /dev/urandom > /tmp/d/a && head -c 600 /dev/urandom > /tmp/d/b');
      const poorDisk = await createOwnDisk(poor);
      expect(await refused('from', { sandboxId: id, source: '/tmp/d', path: '/d/' }, poorDisk)).toMatchObject({
        status: 429,
        code: 'quota_exceeded',
      });
      expect((await read('/d/a', poorDisk)).status).toBe(404);
    } finally {
      await poor.cleanUp();
    }
  });
});

/** Another tenant's disk, asked for with the own key. */
const ofOthers =
  (diskId: string): OwnDisk['api'] =>
  (path, init) =>
    sandbox.tenant.api(`/v1/disks/${diskId}/artifacts${path}`, init);
