import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 as nodeCrc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32 } from '../../../worker/core/formats/crc32.ts';
import { ServiceError } from '../../../worker/core/errors.ts';
import type { RandomAccess, ZipBounds } from '../../../worker/core/formats/zip-directory.ts';
import { openZip, zipBounds } from '../../../worker/core/formats/zip-read.ts';
import type { FileToZip } from '../../../worker/core/formats/zip-write.ts';
import { packZip } from '../../../worker/core/formats/zip-write.ts';
import { byteStream, bytesOf, split } from './support/bytes.ts';
import type { RawEntry } from './support/raw-zip.ts';
import { rawZip } from './support/raw-zip.ts';

const bounds: ZipBounds = zipBounds;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'glovebox-zip-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const installed = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0;
const hasUnzip = installed('unzip', '-v');
const hasZip = installed('zip', '-v');
const hasPython = installed('python3', '-c', 'import zipfile');

const accessTo = (bytes: Buffer): RandomAccess => ({
  sizeBytes: bytes.length,
  async read(offset, length) {
    if (offset < 0 || length < 0 || offset + length > bytes.length) throw new Error(`read of ${length} at ${offset}`);
    return bytes.subarray(offset, offset + length);
  },
});

async function unzipped(bytes: Buffer, options: Partial<ZipBounds> = {}): Promise<[string, string][]> {
  const { entries } = await openZip(accessTo(bytes), { ...bounds, ...options });
  const read: [string, string][] = [];
  for (const entry of entries) {
    const kind = entry.isDirectory ? '/' : entry.isSymlink ? '@' : '';
    read.push([entry.path + kind, (await bytesOf(entry.body())).toString('latin1')]);
  }
  return read;
}

const fileOf = (path: string, body: string | Uint8Array): FileToZip => ({
  path,
  modifiedAtMs: 1_700_000_000_000,
  body: typeof body === 'string' ? Buffer.from(body) : body,
});
const zipped = (files: FileToZip[]): Promise<Buffer> => bytesOf(packZip(files));

const segment = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '漢', ' ', '.', '😀'), minLength: 1, maxLength: 20 });
const trees = fc
  .uniqueArray(fc.tuple(segment, segment, fc.uint8Array({ maxLength: 3000 })), {
    maxLength: 6,
    selector: ([top]) => top,
  })
  .map((files) => files.map(([top, name, body]): [string, Uint8Array] => [`${top}/${name}`, body]))
  .filter((files) => !files.some(([path]) => path.split('/').some((part) => part === '.' || part === '..')));

describe('a zip', () => {
  it('comes back as it was packed, however the bodies arrive', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.array(fc.nat(), { maxLength: 4 }), async (files, at) => {
        const archive = await zipped(
          files.map(([path, body]) => ({ ...fileOf(path, ''), body: byteStream(split(body, at)) })),
        );
        expect(await unzipped(archive)).toEqual(
          files.map(([path, body]) => [path, Buffer.from(body).toString('latin1')]),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('carries files larger than any buffer, whether they shrink or not', async () => {
    const noise = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 2_654_435_761) >>> 24));
    const large = Buffer.concat(Array.from({ length: 12 }, () => noise));
    const zeros = Buffer.alloc(20 * 1024 * 1024);
    const { entries } = await openZip(accessTo(await zipped([fileOf('noise', large), fileOf('zeros', zeros)])), bounds);
    const bodies = await Promise.all(entries.map((entry) => bytesOf(entry.body())));
    expect(bodies.map((body, index) => body.equals([large, zeros][index] ?? noise))).toEqual([true, true]);
  });

  it('is an error wherever it is cut or damaged', async () => {
    const archive = await zipped([fileOf('a', 'hello '.repeat(30)), fileOf('d/b', 'x')]);
    const whole = await unzipped(archive);
    for (let at = 0; at < archive.length; at += 1) {
      await expect(unzipped(archive.subarray(0, at))).rejects.toMatchObject({ code: 'invalid_argument' });
      const damaged = Buffer.from(archive);
      damaged[at] = (damaged[at] ?? 0) ^ 0x55;
      // What nobody reads may be damaged: times, versions. Content never.
      const read = await unzipped(damaged).catch((error: unknown) => {
        if (error instanceof ServiceError) return whole;
        throw error;
      });
      expect(read.map(([, body]) => body)).toEqual(whole.map(([, body]) => body));
    }
  });

  it('may have a comment that looks like an end, directories and stored files', async () => {
    const archive = rawZip([{ name: 'd/' }, { name: './d//a', body: 'x', method: 0 }, { name: './' }], {
      comment: 'PK\u0005\u0006 and more than twenty-two bytes',
    });
    expect(await unzipped(archive)).toEqual([
      ['d/', ''],
      ['d/a', 'x'],
    ]);
  });

  it('may be zip64', async () => {
    expect(await unzipped(rawZip([{ name: 'a', body: 'hello' }], { zip64: true }))).toEqual([['a', 'hello']]);
  });

  it('fails to be packed when a body fails', async () => {
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('lost')) });
    await expect(zipped([{ ...fileOf('a', ''), body }])).rejects.toThrow('lost');
  });

  it('whose storage fails passes the failure on', async () => {
    const archive = await zipped([fileOf('a', 'x')]);
    let reads = 0;
    const source = {
      ...accessTo(archive),
      read: (offset: number, length: number) =>
        reads++ < 2 ? accessTo(archive).read(offset, length) : Promise.reject(new TypeError('lost')),
    };
    const { entries } = await openZip(source, bounds);
    await expect(bytesOf(entries[0]?.body() ?? byteStream([]))).rejects.toThrow('lost');
  });

  it.each([0, 1, 7, 8, 9, 100_001])('has the right checksum over %i bytes', (bytes) => {
    const data = Buffer.from(Array.from({ length: bytes }, (_, at) => at * 31));
    expect(crc32(data)).toBe(nodeCrc32(data));
    expect(crc32(data.subarray(3), crc32(data.subarray(0, 3)))).toBe(nodeCrc32(data));
  });
});

describe('a bad zip is refused with its reason', () => {
  const bomb = (bytes: number): RawEntry => ({
    name: 'bomb',
    compressed: deflateRawSync(Buffer.alloc(bytes)),
    body: 'x',
  });

  it.each<[string, RawEntry[], Partial<ZipBounds>, string, string]>([
    ['a path upwards', [{ name: 'a/../../b' }], {}, 'invalid_argument', 'outside the target'],
    ['an absolute path', [{ name: '/a' }], {}, 'invalid_argument', 'absolute'],
    ['a backslash', [{ name: String.raw`..\a` }], {}, 'invalid_argument', 'backslash'],
    ['a NUL', [{ name: 'a\0.md' }], {}, 'invalid_argument', 'NUL'],
    ['a long path', [{ name: 'x'.repeat(1025) }], {}, 'invalid_argument', 'more than 1024 bytes'],
    ['no name', [{ name: '' }], {}, 'invalid_argument', 'without a name'],
    ['another charset', [{ name: Buffer.of(0x81) }], {}, 'invalid_argument', 'not UTF-8'],
    ['a path twice', [{ name: 'a/b' }, { name: 'a/./b' }], {}, 'invalid_argument', '«a/b» twice'],
    [
      'a file as a directory',
      [{ name: 'a' }, { name: 'a/b' }],
      {},
      'invalid_argument',
      'both as a file and as a directory',
    ],
    ['encryption', [{ name: 'a', flags: 1 }], {}, 'invalid_argument', 'encrypted'],
    ['another method', [{ name: 'a', method: 12 }], {}, 'invalid_argument', 'other than deflate'],
    [
      '201 files',
      Array.from({ length: 201 }, (_, at) => ({ name: `f${at}` })),
      {},
      'payload_too_large',
      'more than 200 files',
    ],
    [
      '1001 entries',
      Array.from({ length: 1001 }, (_, at) => ({ name: `f${at}/` })),
      {},
      'payload_too_large',
      'more than 1000 entries',
    ],
    [
      'too much, by its own word',
      [{ name: 'a', sizeBytes: 51 * 1024 * 1024 }],
      {},
      'payload_too_large',
      'bytes of content',
    ],
    ['more than it says', [bomb(1024 * 1024)], {}, 'invalid_argument', 'damaged entry «bomb»'],
    ['less than it says', [{ name: 'a', body: 'hello', sizeBytes: 6 }], {}, 'invalid_argument', 'damaged entry «a»'],
    ['a wrong checksum', [{ name: 'a', body: 'hello', crc: 1 }], {}, 'invalid_argument', 'damaged entry «a»'],
    [
      'bytes after its deflate',
      [{ name: 'a', body: 'hello', compressed: Buffer.concat([deflateRawSync('hello'), Buffer.alloc(20_000)]) }],
      {},
      'invalid_argument',
      'damaged entry «a»',
    ],
    [
      'a cut deflate',
      [{ name: 'a', body: 'hello', compressed: deflateRawSync('hello').subarray(0, -1) }],
      {},
      'invalid_argument',
      'damaged entry «a»',
    ],
    [
      'two names for one entry',
      [{ name: 'a', localName: 'b', body: 'x' }],
      {},
      'invalid_argument',
      'damaged entry «a»',
    ],
    ['an entry outside', [{ name: 'a', body: 'x', offset: 1e6 }], {}, 'invalid_argument', 'lies outside'],
  ])('%s', async (_what, entries, options, code, message) => {
    await expect(unzipped(rawZip(entries), options)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  it('what is no zip', async () => {
    await expect(unzipped(Buffer.alloc(0))).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('no zip'),
    });
    await expect(unzipped(Buffer.alloc(100_000, 'PK'))).rejects.toMatchObject({ code: 'invalid_argument' });
  });

  it('a bomb, before much of it has been inflated', async () => {
    const { entries } = await openZip(accessTo(rawZip([bomb(200 * 1024 * 1024)])), bounds);
    const before = process.memoryUsage().arrayBuffers;
    await expect(bytesOf(entries[0]?.body() ?? byteStream([]))).rejects.toMatchObject({ code: 'invalid_argument' });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 * 1024);
  });
});

describe('other programs', () => {
  const files = [fileOf('a b.txt', 'hello'), fileOf('näme/漢.md', 'x'.repeat(100_000)), fileOf('empty', '')];
  const written = async (): Promise<string> => {
    const path = join(mkdtempSync(join(directory, 'ours-')), 'ours.zip');
    writeFileSync(path, await zipped(files));
    return path;
  };

  it.runIf(hasUnzip)('unzip unpacks what is packed here', async () => {
    const archive = await written();
    const target = join(archive, '..', 'out');
    execFileSync('unzip', ['-q', archive, '-d', target], { env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    expect(readFileSync(join(target, 'a b.txt'), 'utf8')).toBe('hello');
    expect(readFileSync(join(target, 'näme/漢.md'), 'utf8')).toBe('x'.repeat(100_000));
    expect(statSync(join(target, 'empty')).size).toBe(0);
    expect(statSync(join(target, 'a b.txt')).mtimeMs).toBe(1_700_000_000_000);
    expect(statSync(join(target, 'a b.txt')).mode & 0o777).toBe(0o644);
  });

  it.runIf(hasPython)('Python reads what is packed here, and packs what is read here', async () => {
    const script = `import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
assert [(i.filename, i.file_size) for i in z.infolist()] == [('a b.txt', 5), ('näme/漢.md', 100000), ('empty', 0)]
with zipfile.ZipFile(sys.argv[2], 'w') as o:
    o.writestr('stored', 'x' * 10)
    o.writestr('näme/é', 'y' * 100000, zipfile.ZIP_DEFLATED)
    with o.open('zip64', 'w', force_zip64=True) as f: f.write(b'z')`;
    const archive = await written();
    const theirs = `${archive}.theirs`;
    execFileSync('python3', ['-c', script, archive, theirs]);
    expect(await unzipped(readFileSync(theirs))).toEqual([
      ['stored', 'x'.repeat(10)],
      ['näme/é', 'y'.repeat(100_000)],
      ['zip64', 'z'],
    ]);
  });

  it.runIf(hasZip)('zip packs what is read here', async () => {
    const source = mkdtempSync(join(directory, 'source-'));
    mkdirSync(join(source, 'd'));
    writeFileSync(join(source, 'd/é'), 'x'.repeat(10_000));
    symlinkSync('é', join(source, 'd/link'));
    execFileSync('zip', ['-qry', 'theirs.zip', 'd'], { cwd: source });
    expect(Object.fromEntries(await unzipped(readFileSync(join(source, 'theirs.zip'))))).toEqual(
      Object.fromEntries([
        ['d/', ''],
        ['d/link@', Buffer.from('é').toString('latin1')],
        ['d/é', 'x'.repeat(10_000)],
      ]),
    );
    execFileSync('sh', ['-c', 'cat d/é | zip -q streamed.zip -'], { cwd: source });
    expect(await unzipped(readFileSync(join(source, 'streamed.zip')))).toEqual([['-', 'x'.repeat(10_000)]]);
  });
});
