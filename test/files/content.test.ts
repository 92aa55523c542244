import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installation } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { errorOf, TestSandbox } from '../exec/calls.ts';

interface Written {
  entry: { path: string; sizeBytes: number; mode: string; owner: string; group: string };
  writtenBytes: number;
}

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('a file written', () => {
  test.each([0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 5_000_000])('of %i bytes comes back the same', async (size) => {
    const bytes = randomBytes(size);
    const written = (await (await sandbox.writeFile(`/tmp/of-${size}`, bytes)).json()) as Written;
    expect(written).toMatchObject({ writtenBytes: size, entry: { sizeBytes: size, path: `/tmp/of-${size}` } });
    const read = await sandbox.readFile(`/tmp/of-${size}`);
    expect(read.status).toBe(200);
    expect(read.headers.get('content-length')).toBe(String(size));
    expect(sha256(new Uint8Array(await read.arrayBuffer()))).toBe(sha256(bytes));
  });

  test('chunked, without a length, is the same', async () => {
    const bytes = randomBytes(3_000_000);
    const body = Readable.toWeb(Readable.from([bytes.subarray(0, 10), bytes.subarray(10)])) as ReadableStream;
    const response = await sandbox.call('/files/content?path=/tmp/chunked', {
      method: 'PUT',
      body,
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(200);
    expect(await sandbox.output('sha256sum < /tmp/chunked')).toBe(`${sha256(bytes)}  -\n`);
  });

  test('belongs to its user, has the mode asked for, and its directories are made', async () => {
    const put = async (path: string, query: string) =>
      (await (await sandbox.writeFile(path, 'x', query)).json()) as Written;
    expect(await put('made/for/me.txt', '&mode=0750')).toMatchObject({
      entry: { path: '/home/user/made/for/me.txt', mode: '0750', owner: 'user', group: 'user' },
    });
    expect(await sandbox.output('stat -c "%U %a" made made/for/me.txt')).toBe('user 755\nuser 750\n');
    expect(await put('/root/owned', '&user=root')).toMatchObject({ entry: { owner: 'root', mode: '0644' } });
  });

  test.each([
    ['with a length', { 'content-length': 10_000_000 }],
    ['chunked', { 'transfer-encoding': 'chunked' }],
  ])(
    'replaces another file; an upload %s that is cut leaves the old one, and nothing beside it',
    async (_name, framing) => {
      await sandbox.writeFile('/tmp/cut/target', 'old');
      await sandbox.writeFile('/tmp/cut/target', 'new');
      const { hostname, port } = new URL(installation().url);
      await new Promise<void>((resolve) => {
        const upload = request({
          hostname,
          port,
          method: 'PUT',
          path: `/v1/sandboxes/${sandbox.id}/files/content?path=/tmp/cut/target`,
          headers: { authorization: `Bearer ${sandbox.tenant.key}`, ...framing },
        });
        upload.on('error', () => resolve());
        upload.write(Buffer.alloc(2_000_000), () => upload.destroy());
        upload.on('close', () => resolve());
      });
      await waitFor(
        'the temporary file to be gone',
        async () => (await sandbox.output('ls -A /tmp/cut')) === 'target\n',
        20_000,
        100,
      );
      expect(await sandbox.output('cat /tmp/cut/target')).toBe('new');
    },
  );

  test('that is there is read by 50 clients at once, each whole', async () => {
    const bytes = randomBytes(600_000);
    await sandbox.writeFile('/tmp/shared', bytes);
    const reads = Array.from({ length: 50 }, async () => {
      const response = await sandbox.readFile('/tmp/shared');
      return sha256(new Uint8Array(await response.arrayBuffer()));
    });
    expect(new Set(await Promise.all(reads))).toEqual(new Set([sha256(bytes)]));
  });
});

describe('reading', () => {
  beforeAll(async () => {
    await sandbox.writeFile('/tmp/digits', '0123456789');
  });

  const ranges: [string, number, string, string | null][] = [
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-30', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=5-2', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
    ['bytes=0-1,3-4', 200, '0123456789', null],
  ];
  test.each(ranges)('Range %s is %i', async (range, status, text, contentRange) => {
    const response = await sandbox.readFile('/tmp/digits', { range });
    expect(await response.text()).toBe(text);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-range')).toBe(contentRange);
    expect(response.headers.get('content-length')).toBe(String(text.length));
  });

  test.each(['bytes=10-', 'bytes=-0'])('Range %s lies outside: 416 with the size', async (range) => {
    const response = await sandbox.readFile('/tmp/digits', { range });
    expect(response.headers.get('content-range')).toBe('bytes */10');
    expect(await errorOf(response)).toMatchObject({ status: 416, code: 'range_not_satisfiable' });
  });

  test('a range of a large file is exact', async () => {
    const bytes = randomBytes(2_000_000);
    await sandbox.writeFile('/tmp/large', bytes);
    const response = await sandbox.readFile('/tmp/large', { range: 'bytes=500000-1499999' });
    expect(response.status).toBe(206);
    expect(sha256(new Uint8Array(await response.arrayBuffer()))).toBe(sha256(bytes.subarray(500_000, 1_500_000)));
  });

  test('If-Range with an ETag that no longer holds gives the whole file', async () => {
    const etag = (await sandbox.readFile('/tmp/digits')).headers.get('etag') ?? '';
    const same = await sandbox.readFile('/tmp/digits', { range: 'bytes=0-1', 'if-range': etag });
    expect([same.status, await same.text()]).toEqual([206, '01']);
    const other = await sandbox.readFile('/tmp/digits', { range: 'bytes=0-1', 'if-range': '"other"' });
    expect([other.status, await other.text()]).toEqual([200, '0123456789']);
  });

  test('HEAD gives the headers alone', async () => {
    const response = await sandbox.call('/files/content?path=/tmp/digits', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe('10');
    expect(response.headers.get('accept-ranges')).toBe('bytes');
    expect(await response.text()).toBe('');
  });

  test('a browser that opens it runs nothing of it', async () => {
    const name = 'a"b\'é.html';
    await sandbox.writeFile(`/tmp/${name}`, '<script>alert(1)</script>');
    const { headers } = await sandbox.readFile(`/tmp/${name}`);
    expect(headers.get('content-type')).toBe('application/octet-stream');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain('sandbox');
    expect(headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''a%22b%27%C3%A9.html");
  });

  test('a client that stops reading a large file holds nobody up', async () => {
    await sandbox.exec('head -c 60000000 /dev/zero > /tmp/sixty');
    const stalled = await sandbox.readFile('/tmp/sixty');
    expect(await sandbox.output('echo on')).toBe('on\n');
    expect(await (await sandbox.readFile('/tmp/digits')).text()).toBe('0123456789');
    await stalled.body?.cancel();
  });
});
