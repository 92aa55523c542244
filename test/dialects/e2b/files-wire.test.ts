import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { signatureOf } from '../../../worker/dialects/e2b/envd/files/signature.ts';
import { basic, createEnvd, type Envd } from './envd.ts';
import { failure, failureOf } from './wire.ts';

let envd: Envd;
beforeAll(async () => {
  envd = await createEnvd();
});
afterAll(() => envd.wire.tenant.cleanUp());

const query = (values: Record<string, string>): string => new URLSearchParams(values).toString();
const octet = { 'content-type': 'application/octet-stream' };
const put = (path: string, body: BodyInit, headers: Record<string, string> = {}) =>
  envd.send('POST', `/files?${query({ path })}`, { body, headers: { ...octet, ...headers } });
const get = (path: string, headers: Record<string, string> = {}) =>
  envd.send('GET', `/files?${query({ path })}`, { headers: { 'accept-encoding': 'identity', ...headers } });

test('a page of another origin may send whatever headers its SDK sends, the user’s among them', async () => {
  const asked = 'authorization,connect-protocol-version,x-access-token';
  const answer = await envd.send('OPTIONS', '/filesystem.Filesystem/Stat', {
    headers: { origin: 'https://example.com', 'access-control-request-headers': asked },
  });
  expect(answer.status).toBe(204);
  expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  expect(answer.headers.get('access-control-allow-headers')).toBe(asked);
});

describe('a download', () => {
  test('says what it is, in whole, in parts, and compressed for who asks for it', async () => {
    await put('/tmp/d/data.txt', '0123456789');
    const whole = await get('/tmp/d/data.txt');
    expect([whole.status, whole.text]).toEqual([200, '0123456789']);
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      'content-length': '10',
      'content-disposition': 'inline; filename=data.txt',
      'accept-ranges': 'bytes',
      vary: 'Accept-Encoding',
      'access-control-allow-origin': '*',
      'content-security-policy': expect.stringContaining('sandbox'),
    });
    const part = await get('/tmp/d/data.txt', { range: 'bytes=2-4' });
    expect([part.status, part.text, part.headers.get('content-range')]).toEqual([206, '234', 'bytes 2-4/10']);
    const tail = await get('/tmp/d/data.txt', { range: 'bytes=-3' });
    expect([tail.status, tail.text]).toEqual([206, '789']);
    const outside = await get('/tmp/d/data.txt', { range: 'bytes=10-' });
    expect([outside.status, outside.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    const stale = await get('/tmp/d/data.txt', { range: 'bytes=2-4', 'if-range': '"other"' });
    expect([stale.status, stale.text]).toEqual([200, '0123456789']);
  });

  test('of any size can be compressed on its way', async () => {
    await envd.output('seq 200000 > /tmp/d-large');
    const raw = await new Promise<{ encoding: string | undefined; bytes: Buffer }>((resolve, reject) => {
      const path = `${installation().url}/files?path=/tmp/d-large`;
      const headers = { 'e2b-sandbox-id': envd.sandboxId, 'x-access-token': envd.token, 'accept-encoding': 'gzip' };
      const asked = request(path, { headers }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => resolve({ encoding: answer.headers['content-encoding'], bytes: Buffer.concat(parts) }));
      });
      asked.on('error', reject).end();
    });
    expect(raw.encoding).toBe('gzip');
    const digest = createHash('md5').update(gunzipSync(raw.bytes)).digest('hex');
    expect(await envd.output('md5sum < /tmp/d-large')).toBe(`${digest}  -\n`);
  });

  test('that cannot be is refused in the words that clients know', async () => {
    expect(failureOf(await get('nowhere'))).toEqual(failure(404, "path '/home/user/nowhere' does not exist"));
    expect(failureOf(await get('/tmp'))).toEqual(failure(400, "path '/tmp' is a directory"));
    expect(failureOf(await get(''))).toEqual(failure(400, "path '/home/user' is a directory"));
    const none = await get('/tmp/d/data.txt', { 'accept-encoding': 'identity;q=0' });
    expect(none.status).toBe(406);
    const stranger = await envd.send('GET', `/files?${query({ path: 'x', username: 'stranger' })}`);
    expect(failureOf(stranger)).toEqual(failure(401, /stranger/));
    for (const path of ['/dev/zero', '/proc/self/environ']) expect([400, 403]).toContain((await get(path)).status);
  });
});

describe('an upload', () => {
  const form = (...files: [string, string][]): FormData => {
    const data = new FormData();
    for (const [name, text] of files) data.append('file', new Blob([text]), name);
    return data;
  };
  const post = (path: string, body: BodyInit, headers: Record<string, string> = {}) =>
    envd.send('POST', `/files${path}`, { body, headers });

  test('as a form goes to the path of the query or of each part', async () => {
    const several = await post('', form(['/tmp/u/a', 'A'], ['sub/b', 'B']));
    expect(several.body).toEqual([
      { path: '/tmp/u/a', name: 'a', type: 'file' },
      { path: '/home/user/sub/b', name: 'b', type: 'file' },
    ]);
    const data = form(['ignored', 'C']);
    data.append('other', 'is skipped');
    expect((await post('?path=~/c', data)).body).toEqual([{ path: '/home/user/c', name: 'c', type: 'file' }]);
    expect(await envd.output('cat /tmp/u/a sub/b c; stat -c %U /tmp/u/a')).toBe('ABCuser\n');
  });

  test('of two files for one path keeps the first and says so', async () => {
    const answer = await post('', form(['/tmp/u/twice', '1'], ['/tmp/u/twice', '2']));
    expect(failureOf(answer)).toEqual(failure(400, /multiple files to the same path '\/tmp\/u\/twice'/));
    expect(await envd.output('cat /tmp/u/twice')).toBe('1');
  });

  test('that is no form, has no path, or is not what it says is refused, and nothing is written', async () => {
    const gzip = { 'content-encoding': 'gzip' };
    const bad: [string, BodyInit, Record<string, string>][] = [
      ['', 'x', octet],
      ['?path=/tmp/u/no', 'x', { 'content-type': 'text/plain' }],
      ['?path=/tmp/u/no', 'x', { 'content-type': 'multipart/form-data' }],
      [
        '?path=/tmp/u/no',
        '--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nx',
        { 'content-type': 'multipart/form-data; boundary=b' },
      ],
      ['?path=/tmp/u/no', 'not gzip', { ...octet, ...gzip }],
      ['?path=/tmp/u/no', gzipSync('x'.repeat(1000)).subarray(0, -4), { ...octet, ...gzip }],
      ['?path=/tmp/u/no', 'x', { ...octet, 'content-encoding': 'br' }],
      ['?path=/tmp', 'x', octet],
      ['?path=/tmp/u/a/below-a-file', 'x', octet],
      [`?${query({ path: '/tmp/u/\0' })}`, 'x', octet],
      [`?path=/tmp/${'x'.repeat(4096)}`, 'x', octet],
      [`?path=/tmp/u/${'x'.repeat(256)}`, 'x', octet],
    ];
    for (const [path, body, headers] of bad) {
      expect({ path, status: (await post(path, body, headers)).status }).toEqual({ path, status: 400 });
    }
    // 300 KB of random form content: past what travels at once, so that the runner has begun.
    const cut = new Uint8Array([
      ...new TextEncoder().encode('--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n'),
      ...new Uint8Array(400_000),
    ]);
    const answer = await post('?path=/tmp/u/no', cut, { 'content-type': 'multipart/form-data; boundary=b' });
    expect(failureOf(answer)).toEqual(failure(400, /cut/));
    expect(await envd.output('ls /tmp/u; ls -A /tmp/u | grep -c glovebox; true')).toBe('a\ntwice\n0\n');
  });

  test('that a compressed body makes much of is written as it comes', async () => {
    const bytes = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    expect(bytes.length).toBeLessThan(100_000);
    expect((await put('/tmp/bomb', bytes, { 'content-encoding': 'gzip' })).status).toBe(200);
    expect(await envd.output('stat -c %s /tmp/bomb; rm /tmp/bomb')).toBe('67108864\n');
  });

  test('brings metadata within its bounds', async () => {
    const kept = await put('/tmp/u/m', 'x', { 'X-Metadata-Author': 'Mish', 'x-metadata-empty': '' });
    expect(kept.body).toEqual([{ path: '/tmp/u/m', name: 'm', type: 'file', metadata: { author: 'Mish', empty: '' } }]);
    for (const headers of [
      { [`x-metadata-${'k'.repeat(247)}`]: 'v' },
      { 'x-metadata-k': 'v'.repeat(4087) },
      { 'x-metadata-k': 'ü' },
    ]) {
      expect((await put('/tmp/u/m2', 'x', headers)).status).toBe(400);
    }
    expect((await get('/tmp/u/m2')).status).toBe(404);
  });

  test('past the disk’s end is 507 and leaves what was there', async () => {
    // So small a body has been read whole when it is refused; of a large one, the client may still be sending, and see a cut.
    await envd.output('echo kept > /dev/shm/kept; head -c 67000000 /dev/zero > /dev/shm/rest');
    const full = await put('/dev/shm/kept', new Uint8Array(200_000));
    expect(failureOf(full)).toEqual(failure(507, /space/));
    expect(await envd.output('cat /dev/shm/kept; rm /dev/shm/rest; ls -A /dev/shm')).toBe('kept\nkept\n');
  });
});

test('compose joins files, and tells what is wrong', async () => {
  await envd.output('cd /tmp; printf a > p1; printf b > p2');
  const compose = (json: object) =>
    envd.send('POST', '/files/compose', {
      body: JSON.stringify(json),
      headers: { 'content-type': 'application/json' },
    });
  const joined = await compose({ source_paths: ['/tmp/p1', '/tmp/p2'], destination: 'joined/all', username: 'root' });
  expect(joined.body).toEqual({ path: '/root/joined/all', name: 'all', type: 'file' });
  expect((await envd.send('GET', '/files?path=/root/joined/all')).text).toBe('ab');
  expect((await compose({ source_paths: ['/tmp/p1'], destination: 'all' })).status).toBe(404);
  for (const json of [{ source_paths: [], destination: 'x' }, { source_paths: ['x'] }, { destination: 'x' }]) {
    expect((await compose(json)).status).toBe(400);
  }
});

describe('who may', () => {
  const signed = async (operation: 'read' | 'write', values: Record<string, string>) => {
    const { path = '', username = '', signature_expiration: expiry } = values;
    const expiresAt = expiry === undefined ? undefined : Number(expiry);
    return signatureOf(envd.token, { operation, path, username, expiresAt });
  };
  const open = (values: Record<string, string>, token: string | null = null, method = 'GET') => {
    const init = method === 'POST' ? { body: 'x', headers: octet } : {};
    return envd.send(method, `/files?${query(values)}`, { token, ...init });
  };

  test('is who has the token or a signature for just this', async () => {
    await put('signed', 'content');
    const soon = String(Math.floor(Date.now() / 1000) + 60);
    for (const values of [
      { path: 'signed' },
      { path: '/home/user/signed', username: 'root' },
      { path: 'signed', username: 'user', signature_expiration: soon },
    ]) {
      const answer = await open({ ...values, signature: await signed('read', values) });
      expect([answer.status, answer.text]).toEqual([200, 'content']);
    }
    const write = { path: 'signed' };
    expect((await open({ ...write, signature: await signed('write', write) }, null, 'POST')).status).toBe(200);
  });

  test('is nobody else, who is told why', async () => {
    const values = { path: 'signed' };
    const signature = await signed('read', values);
    const refused = async (text: string, ...asked: Parameters<typeof open>) =>
      expect(failureOf(await open(...asked))).toEqual(failure(401, text));
    await refused('missing signature query parameter', values);
    await refused('invalid signature', { ...values, signature: 'v1_' });
    await refused('invalid signature', { ...values, signature }, null, 'POST');
    await refused('invalid signature', { path: 'other', signature });
    await refused('invalid signature', { ...values, signature, signature_expiration: '99999999999' });
    const past = { ...values, signature_expiration: '1000' };
    await refused('signature is already expired', { ...past, signature: await signed('read', past) });
    await refused('access token present in header but does not match', { ...values, signature }, 'wrong');
    const other = await envd.wire.create();
    await refused('access token present in header but does not match', values, String(other.envdAccessToken));
    expect((await open({ ...values, signature, signature_expiration: 'soon' })).status).toBe(400);
  });

  test('everything else asks for the token, whatever is signed', async () => {
    const body = JSON.stringify({ source_paths: ['a'], destination: 'b' });
    const headers = { 'content-type': 'application/json' };
    const values = { path: 'signed' };
    const signature = await signed('write', values);
    const paths = [
      'Stat',
      'MakeDir',
      'Move',
      'ListDir',
      'Remove',
      'CreateWatcher',
      'GetWatcherEvents',
      'RemoveWatcher',
    ];
    for (const path of ['/files/compose', ...paths.map((name) => `/filesystem.Filesystem/${name}`)]) {
      const answer = await envd.send('POST', `${path}?${query({ ...values, signature })}`, {
        token: null,
        body,
        headers,
      });
      expect({ path, ...failureOf(answer) }).toEqual({ path, ...failure(401, /valid access token/) });
    }
  });
});

describe('the filesystem service', () => {
  test('answers as protobuf’s JSON has it', async () => {
    await put('/tmp/rpc/file', 'four');
    const { body } = await envd.rpc('Stat', { path: '/tmp/rpc/file' });
    expect(body).toEqual({
      entry: {
        name: 'file',
        type: 'FILE_TYPE_FILE',
        path: '/tmp/rpc/file',
        size: '4',
        mode: 0o644,
        permissions: '-rw-r--r--',
        owner: 'user',
        group: 'user',
        modifiedTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        metadata: {},
      },
    });
    expect((await envd.rpc('Remove', { path: '/tmp/rpc' })).body).toEqual({});
    expect((await envd.rpc('ListDir', { path: '/tmp', depth: 0 })).status).toBe(200);
  });

  test.each([
    ['Stat', { path: 'nowhere' }, 404, 'not_found'],
    ['ListDir', { path: 'nowhere' }, 404, 'not_found'],
    ['ListDir', { path: '/etc/passwd' }, 400, 'invalid_argument'],
    ['MakeDir', { path: '/tmp' }, 409, 'already_exists'],
    ['MakeDir', { path: '/etc/passwd' }, 400, 'invalid_argument'],
    ['Move', { source: 'nowhere', destination: 'x' }, 404, 'not_found'],
    ['Remove', { path: '/' }, 400, 'invalid_argument'],
    ['CreateWatcher', { path: 'nowhere' }, 404, 'not_found'],
    ['CreateWatcher', { path: '/etc/passwd' }, 400, 'invalid_argument'],
    ['GetWatcherEvents', { watcherId: 'w' }, 404, 'not_found'],
    ['RemoveWatcher', {}, 404, 'not_found'],
    ['Stat', { path: 'a\0b' }, 400, 'invalid_argument'],
    ['Stat', { path: '~root/x' }, 400, 'invalid_argument'],
    ['Stat', { path: 'x'.repeat(4097) }, 400, 'invalid_argument'],
    ['Stat', { path: 5 }, 400, 'invalid_argument'],
    ['ListDir', { path: '/', depth: -1 }, 400, 'invalid_argument'],
  ])('%s of %j is %i %s', async (method, message, status, code) => {
    expect(await envd.rpc(method, message)).toMatchObject({ status, body: { code, message: expect.any(String) } });
  });

  test('knows its users by name', async () => {
    expect((await envd.rpc('Stat', {}, basic('root'))).body).toMatchObject({ entry: { path: '/root' } });
    for (const user of ['stranger', 'a b', '']) {
      const answer = await envd.rpc('Stat', { path: '/' }, basic(user));
      expect(answer).toMatchObject({
        status: 401,
        body: { code: 'unauthenticated', message: `invalid username: '${user}'` },
      });
    }
  });

  test('stays in the sandbox, whatever a path or a link says', async () => {
    const up = '../'.repeat(40);
    const hostname = await envd.output('cat /etc/hostname');
    expect((await get(`${up}etc/hostname`)).text).toBe(hostname);
    await envd.output(
      `ln -s ${up}etc/hostname /tmp/up; ln -s /proc/1/root/etc/hostname /tmp/root; cd /tmp; ln -s loop loop`,
    );
    expect((await get('/tmp/up')).text).toBe(hostname);
    expect((await get('/tmp/root')).status).toBe(403);
    expect((await get('/tmp/loop')).status).toBe(400);
    expect((await envd.rpc('Stat', { path: '/tmp/loop' })).body).toMatchObject({
      entry: { type: 'FILE_TYPE_UNSPECIFIED', symlinkTarget: '/tmp/loop' },
    });
  });

  test('leaves out of a list what no text can name, and tells times beyond the calendar as its ends', async () => {
    await envd.output(`mkdir /dev/shm/odd; cd /dev/shm/odd; touch $'bad\\xff' plain; touch -d @-99999999999999 early`);
    const { body } = await envd.rpc('ListDir', { path: '/dev/shm/odd' });
    const { entries } = body as { entries: { name: string; modifiedTime: string }[] };
    expect(entries.map(({ name }) => name)).toEqual(['early', 'plain']);
    expect(entries[0]?.modifiedTime).toBe('0001-01-01T00:00:00.000Z');
  });

  test('lists too much never in part', async () => {
    await envd.output('mkdir /dev/shm/many; cd /dev/shm/many; seq 10001 | xargs touch');
    expect(await envd.rpc('ListDir', { path: '/dev/shm/many' })).toMatchObject({
      body: { code: 'out_of_range' },
    });
  });
});
