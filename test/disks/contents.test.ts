import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

interface Artifact {
  name: string;
  path: string;
  sizeBytes: number;
  contentType: string;
  metadata: Record<string, unknown>;
  etag: string;
  createdAt: string;
  updatedAt: string;
}

let tenant: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  tenant = await createTenant();
  disk = await createOwnDisk(tenant);
});
afterAll(() => tenant.cleanUp());

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const contentPath = (path: string) => `/content?path=${encodeURIComponent(path)}`;
const put = (path: string, body: BodyInit, headers: Record<string, string> = {}, on = disk) =>
  on.api(contentPath(path), { method: 'PUT', body, headers });
const putView = async (path: string, body: BodyInit, headers: Record<string, string> = {}) => {
  const response = await put(path, body, headers);
  expect([200, 201]).toContain(response.status);
  return (await response.json()) as Artifact;
};
const get = (path: string, headers: Record<string, string> = {}) => disk.api(contentPath(path), { headers });
const stat = (path: string) => disk.json<Artifact>(`/stat?path=${encodeURIComponent(path)}`);
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());
const codeOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: { code: string } };
  return { status: response.status, code: error.code };
};
/** Sent chunked, without a length. */
const inPieces = (on: OwnDisk, path: string, bytes: Uint8Array, pieceBytes: number): Promise<Response> => {
  function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  const body = Readable.toWeb(Readable.from(pieces())) as ReadableStream;
  return on.api(contentPath(path), { method: 'PUT', body, duplex: 'half' } as RequestInit);
};
const mebibyte = 1024 * 1024;

describe('an artifact written', () => {
  test.each([0, 1, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 20 * mebibyte])(
    'of %i bytes comes back the same',
    async (size) => {
      const bytes = randomBytes(size);
      const response = await put(`/sizes/${size}`, bytes);
      expect(response.status).toBe(201);
      const artifact = (await response.json()) as Artifact;
      expect(artifact).toMatchObject({ name: String(size), path: `/sizes/${size}`, sizeBytes: size, metadata: {} });
      expect(response.headers.get('etag')).toBe(artifact.etag);
      const read = await get(`/sizes/${size}`);
      expect(read.headers.get('content-length')).toBe(String(size));
      expect(read.headers.get('etag')).toBe(artifact.etag);
      expect(sha256(await bytesOf(read))).toBe(sha256(bytes));
    },
  );

  test.each([
    [0, 1],
    [10, 3],
    [8 * mebibyte - 1, 70_000],
    [8 * mebibyte, 64 * 1024],
    [8 * mebibyte + 1, 64 * 1024],
    [20 * mebibyte, 100_000],
    // Read in steps of 32 MiB.
    [65 * mebibyte + 1, 500_000],
  ])('without a length, %i bytes in pieces of %i, comes back the same', async (size, pieceBytes) => {
    const bytes = randomBytes(size);
    expect(await (await inPieces(disk, '/chunked', bytes, pieceBytes)).json()).toMatchObject({ sizeBytes: size });
    expect(sha256(await bytesOf(await get('/chunked')))).toBe(sha256(bytes));
  });

  test('has the type that its sender knows, else the one its content and name have', async () => {
    const typeOf = async (path: string, body: BodyInit, type: string) =>
      (await putView(path, body, { 'content-type': type })).contentType;
    const said = 'application/vnd.own+json; charset=utf-8';
    expect(await typeOf('/types/a.bin', 'text', said)).toBe(said);
    expect((await get('/types/a.bin')).headers.get('content-type')).toBe(said);
    expect(await typeOf('/types/b.md', '# B', 'application/octet-stream')).toBe('text/markdown; charset=utf-8');
    expect(await typeOf('/types/c', 'a=b', 'application/x-www-form-urlencoded')).toBe('text/plain; charset=utf-8');
    expect(await typeOf('/types/d', new Uint8Array([0, 1, 2]), 'nonsense')).toBe('application/octet-stream');
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]);
    expect((await putView('/types/e.txt', png)).contentType).toBe('image/png');
  });

  test('keeps its metadata when it is overwritten, unless it is given another', async () => {
    const first = await putView('/meta', '1', { 'x-metadata': '{"of":"\\u00e9"}' });
    expect(first.metadata).toEqual({ of: 'é' });
    const second = await putView('/meta', '2');
    expect(second).toMatchObject({ metadata: { of: 'é' }, createdAt: first.createdAt });
    expect((await putView('/meta', '3', { 'x-metadata': '{}' })).metadata).toEqual({});
    for (const bad of ['[]', 'x', `{"a":"${'a'.repeat(8192)}"}`]) {
      expect(await codeOf(await put('/meta', '4', { 'x-metadata': bad }))).toEqual({
        status: 400,
        code: 'invalid_argument',
      });
    }
    expect(await (await get('/meta')).text()).toBe('3');
  });

  test('with bytes of JSON or of a form is neither parsed nor bounded as such', async () => {
    const body = `{"broken": ${'x'.repeat(3 * mebibyte)}`;
    expect((await put('/raw.json', body, { 'content-type': 'application/json' })).status).toBe(201);
    expect((await bytesOf(await get('/raw.json'))).length).toBe(body.length);
  });

  test.each(['', 'no-slash', '/dir/', '/a/../b', '/.', '/nul\0', `/${'a'.repeat(1024)}`, '/line\nbreak'])(
    'at the path %j is refused',
    async (path) => {
      expect(await codeOf(await put(path, 'x'))).toEqual({ status: 400, code: 'invalid_argument' });
    },
  );

  test.each(['/😀 é.txt', '/a//b', '/a b&c=d?#%2F', `/${'a'.repeat(1023)}`, '/quote\'"', '/%'])(
    'at the path %j is there',
    async (path) => {
      expect(await putView(path, path)).toMatchObject({ path });
      expect(await (await get(path)).text()).toBe(path);
    },
  );
});

describe('a write that is cut', () => {
  const cut = (path: string, framing: Record<string, string | number>, writtenBytes: number) =>
    new Promise<void>((resolve) => {
      const { hostname, port } = new URL(installation().url);
      const upload = request({
        hostname,
        port,
        method: 'PUT',
        path: `/v1/disks/${disk.id}/artifacts${contentPath(path)}`,
        headers: { authorization: `Bearer ${tenant.key}`, ...framing },
      });
      upload.on('error', () => resolve());
      upload.on('close', () => resolve());
      upload.write(Buffer.alloc(writtenBytes, 'x'), () => upload.destroy());
    });

  test.each([
    ['with a length', { 'content-length': 30_000_000 }],
    ['chunked', { 'transfer-encoding': 'chunked' }],
  ])('%s leaves nothing, or what was there', async (_name, framing) => {
    await put('/cut/there', 'old');
    const { etag } = await stat('/cut/there');
    for (const bytes of [1000, 2_000_000, 20_000_000]) {
      await cut('/cut/there', framing, bytes);
      await cut('/cut/new', framing, bytes);
    }
    // After these, so that a late commit would be seen.
    await put('/cut/last', 'x');
    const { artifacts } = await disk.json<{ artifacts: Artifact[] }>('?path=/cut/');
    expect(artifacts.map(({ name }) => name)).toEqual(['last', 'there']);
    expect(await stat('/cut/there')).toMatchObject({ etag, sizeBytes: 3 });
  });
});

test('an overwrite is seen whole or not at all, by whoever reads meanwhile', async () => {
  const contents = Array.from({ length: 8 }, (_, index) => Buffer.alloc(600_000, String(index)));
  const sums = new Map(contents.map((bytes) => [sha256(bytes), bytes]));
  await put('/atomic', contents[0] ?? Buffer.alloc(0));
  const writer = { writing: true };
  const readers = Array.from({ length: 4 }, async () => {
    let readsCount = 0;
    const etags = new Map<string, string>();
    while (writer.writing) {
      const response = await get('/atomic');
      const sum = sha256(await bytesOf(response));
      expect(sums.has(sum)).toBe(true);
      const etag = response.headers.get('etag') ?? '';
      expect(etags.get(etag) ?? sum).toBe(sum);
      etags.set(etag, sum);
      readsCount += 1;
    }
    return readsCount;
  });
  for (const bytes of contents) expect((await put('/atomic', bytes)).status).toBe(200);
  writer.writing = false;
  for (const readsCount of await Promise.all(readers)) expect(readsCount).toBeGreaterThan(0);
});

describe('preconditions', () => {
  const refused = { status: 412, code: 'precondition_failed' };

  test('of many writers with the same ETag exactly one wins, time and again', async () => {
    await put('/race', 'start');
    for (let round = 0; round < 5; round += 1) {
      const { etag } = await stat('/race');
      const writers = Array.from({ length: 6 }, (_, index) =>
        put('/race', `${round}-${index}`, { 'if-match': etag }).then(async (response) => ({
          status: response.status,
          text: `${round}-${index}`,
        })),
      );
      const results = await Promise.all(writers);
      const won = results.filter(({ status }) => status === 200);
      expect(won).toHaveLength(1);
      expect(results.filter(({ status }) => status === 412)).toHaveLength(5);
      expect(await (await get('/race')).text()).toBe(won[0]?.text);
    }
  });

  test('If-None-Match: * makes, and never overwrites', async () => {
    const results = await Promise.all(
      Array.from(
        { length: 6 },
        async (_, index) => (await put('/once', String(index), { 'if-none-match': '*' })).status,
      ),
    );
    expect(results.toSorted((a, b) => a - b)).toEqual([201, 412, 412, 412, 412, 412]);
    expect(await codeOf(await put('/once', 'x', { 'if-none-match': '*' }))).toEqual(refused);
    expect(await (await put('/once', 'x', { 'if-none-match': '*' })).text()).toContain('There is an artifact already');
  });

  test('hold for metadata and removal too; each change has an ETag of its own', async () => {
    const first = await putView('/change', 'text');
    const patch = (json: unknown, etag: string) =>
      disk.api('?path=/change', { method: 'PATCH', json, headers: { 'if-match': etag } });
    const changed = (await (await patch({ metadata: { a: 1 } }, first.etag)).json()) as Artifact;
    expect(changed).toMatchObject({ metadata: { a: 1 }, contentType: first.contentType, sizeBytes: 4 });
    expect(changed.etag).not.toBe(first.etag);
    expect(await codeOf(await patch({ contentType: 'text/x-own' }, first.etag))).toEqual(refused);
    expect(await codeOf(await put('/change', 'x', { 'if-match': first.etag }))).toEqual(refused);
    const typed = (await (await patch({ contentType: 'text/x-own' }, changed.etag)).json()) as Artifact;
    expect(typed).toMatchObject({ metadata: { a: 1 }, contentType: 'text/x-own' });
    const remove = (etag: string) => disk.api('?path=/change', { method: 'DELETE', headers: { 'if-match': etag } });
    expect(await codeOf(await remove(changed.etag))).toEqual(refused);
    expect(await (await remove(typed.etag)).json()).toEqual({ artifactsCount: 1 });
    expect(await codeOf(await remove('*'))).toEqual({ status: 404, code: 'not_found' });
  });

  test('that are no ETags are refused, weak ones match nothing', async () => {
    const { etag } = await putView('/tags', 'text');
    const bad = { status: 400, code: 'invalid_argument' };
    expect(await codeOf(await put('/tags', 'x', { 'if-match': etag.replaceAll('"', '') }))).toEqual(bad);
    expect(await codeOf(await put('/tags', 'x', { 'if-match': etag, 'if-none-match': '*' }))).toEqual(bad);
    expect(await codeOf(await put('/tags', 'x', { 'if-match': `W/${etag}` }))).toEqual(refused);
    expect((await put('/tags', 'x', { 'if-match': `"other", ${etag}` })).status).toBe(200);
  });
});

describe('reading', () => {
  beforeAll(async () => {
    await put('/read/digits', '0123456789');
  });

  const ranges: [string, number, string, string | null][] = [
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=0-1,3-4', 200, '0123456789', null],
  ];
  test.each(ranges)('Range %s is %i', async (range, status, text, contentRange) => {
    const response = await get('/read/digits', { range });
    expect([response.status, await response.text()]).toEqual([status, text]);
    expect(response.headers.get('content-range')).toBe(contentRange);
    expect(response.headers.get('content-length')).toBe(String(text.length));
  });

  test('a range outside is 416 with the size, also of an empty artifact', async () => {
    const response = await get('/read/digits', { range: 'bytes=10-' });
    expect(response.headers.get('content-range')).toBe('bytes */10');
    expect(await codeOf(response)).toEqual({ status: 416, code: 'range_not_satisfiable' });
    await put('/read/empty', '');
    expect((await get('/read/empty', { range: 'bytes=0-' })).status).toBe(416);
    expect([(await get('/read/empty')).status, await (await get('/read/empty')).text()]).toEqual([200, '']);
  });

  test('If-None-Match is 304, If-Range takes the range only of what it names, HEAD gives the headers', async () => {
    const { etag } = await stat('/read/digits');
    const same = await get('/read/digits', { 'if-none-match': `"x", W/${etag}` });
    expect([same.status, await same.text(), same.headers.get('etag')]).toEqual([304, '', etag]);
    const part = await get('/read/digits', { range: 'bytes=0-1', 'if-range': etag });
    const whole = await get('/read/digits', { range: 'bytes=0-1', 'if-range': '"old"' });
    expect([await part.text(), await whole.text()]).toEqual(['01', '0123456789']);
    const head = await disk.api(contentPath('/read/digits'), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(Object.fromEntries(head.headers)).toMatchObject({
      'content-length': '10',
      'accept-ranges': 'bytes',
      etag,
      'last-modified': expect.stringMatching(/GMT$/) as string,
      'content-disposition': expect.stringMatching(/^attachment; filename="digits"/) as string,
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining('sandbox') as string,
    });
  });

  test('a range of a large artifact is exact', async () => {
    const bytes = randomBytes(3_000_000);
    await put('/read/large', bytes);
    const response = await get('/read/large', { range: 'bytes=500000-2499999' });
    expect(sha256(await bytesOf(response))).toBe(sha256(bytes.subarray(500_000, 2_500_000)));
  });

  test('what is not there is 404', async () => {
    for (const path of ['/content?path=/none', '/stat?path=/none', '/stat?path=/read']) {
      expect(await codeOf(await disk.api(path))).toEqual({ status: 404, code: 'not_found' });
    }
  });
});

describe('storage', () => {
  const stored = async (of: TestTenant) =>
    (await of.json<{ usage: { storageBytes: number } }>('/v1/me')).usage.storageBytes;

  test('counts equal content once, wherever it lies and however it came, until its last artifact is gone', async () => {
    const own = await createTenant();
    const [one, two] = [await createOwnDisk(own), await createOwnDisk(own)];
    const bytes = randomBytes(9 * mebibyte);
    await one.put('/a', bytes);
    await one.put('/b', bytes);
    await inPieces(two, '/c', bytes, 100_000);
    expect(await stored(own)).toBe(bytes.length);
    await one.remove('/a');
    await own.api(`/v1/disks/${one.id}`, { method: 'DELETE' });
    expect(await stored(own)).toBe(bytes.length);
    expect(sha256(await bytesOf(await two.api('/content?path=/c')))).toBe(sha256(bytes));
    await two.remove('/c');
    expect(await stored(own)).toBe(0);
    await two.put('/d', bytes);
    expect(await stored(own)).toBe(bytes.length);
    expect(sha256(await bytesOf(await two.api('/content?path=/d')))).toBe(sha256(bytes));
  });

  test('of content that is written and removed at once is never lost, nor counted when it is gone', async () => {
    const own = await createTenant();
    const shared = await createOwnDisk(own);
    const contents = ['same', 'other'].map((text) => text.repeat(100_000));
    const place = (worker: number) => `/race/${worker}`;
    const workers = Array.from({ length: 6 }, async (_, worker) => {
      for (let round = 0; round < 8; round += 1) {
        const text = contents[(worker + round) % 2] ?? '';
        await shared.put(place(worker), text);
        const response = await shared.api(contentPath(place(worker)));
        expect([response.status, (await response.text()) === text]).toEqual([200, true]);
        if (round % 3 === 0) await shared.remove(place(worker));
      }
    });
    await Promise.all(workers);
    const lengths = contents.map(({ length }) => length);
    expect(await stored(own)).toBe(lengths.reduce((sum, length) => sum + length, 0));
    await own.api(`/v1/disks/${shared.id}`, { method: 'DELETE' });
    expect(await stored(own)).toBe(0);
  });

  test('over the limit is refused before the body and after it, and changes nothing; deleting makes room', async () => {
    const own = await createTenant({ maxStorageBytes: 1000 });
    const limited = await createOwnDisk(own);
    const refused = { status: 429, code: 'quota_exceeded' };
    expect(await codeOf(await put('/a', Buffer.alloc(20 * mebibyte), {}, limited))).toEqual(refused);
    expect(await codeOf(await inPieces(limited, '/a', randomBytes(1001), 100))).toEqual(refused);
    expect(await codeOf(await inPieces(limited, '/a', Buffer.alloc(9 * mebibyte), 100_000))).toEqual(refused);
    expect((await put('/a', Buffer.alloc(600, 'a'), {}, limited)).status).toBe(201);
    expect(await codeOf(await put('/b', Buffer.alloc(600, 'b'), {}, limited))).toEqual(refused);
    expect((await put('/b', Buffer.alloc(600, 'a'), {}, limited)).status).toBe(201);
    expect(await codeOf(await put('/b', Buffer.alloc(600, 'b'), {}, limited))).toEqual(refused);
    await limited.remove('/b');
    expect((await put('/a', Buffer.alloc(1000, 'b'), {}, limited)).status).toBe(200);
    expect(await stored(own)).toBe(1000);
    await limited.remove('/a');
    expect((await put('/b', Buffer.alloc(1000, 'c'), {}, limited)).status).toBe(201);
  });
});
