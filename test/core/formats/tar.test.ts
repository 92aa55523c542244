import { execFileSync, spawn } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeHeader, decodePax, encodeEntry } from '../../../runner/agent/inside/files/tar-format.ts';
import type { ByteInput } from '../../../worker/core/formats/byte-source.ts';
import type { FileToPack, TarBounds } from '../../../worker/core/formats/tar.ts';
import { packTar, tarBounds, tarBytes, unpackTar } from '../../../worker/core/formats/tar.ts';
import { fileHeader } from '../../../worker/core/formats/tar-header.ts';
import { byteStream, bytesOf, split } from './support/bytes.ts';

const bounds: TarBounds = { ...tarBounds, contentBytesMax: 2 ** 40 };
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'glovebox-tar-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const fileOf = (path: string, body: string | Uint8Array, modifiedAtMs = 1_700_000_000_000): FileToPack => {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return { path, sizeBytes: bytes.length, modifiedAtMs, body: bytes };
};

async function unpacked(archive: ByteInput, options: Partial<TarBounds> = {}): Promise<unknown[]> {
  const entries: unknown[] = [];
  for await (const { path, kind, sizeBytes, body } of unpackTar(archive, { ...bounds, ...options })) {
    entries.push({ path, kind, sizeBytes, body: (await bytesOf(body)).toString('latin1') });
  }
  return entries;
}

const gnuTar = (...args: string[]): Buffer =>
  execFileSync('tar', args, { cwd: directory, maxBuffer: 64 * 1024 * 1024 });

/** Names around the formats' borders. */
const segment = fc.string({
  unit: fc.constantFrom('a', 'b', 'é', '漢', ' ', '.', '\n', '😀'),
  minLength: 1,
  maxLength: 60,
});
const paths = fc
  .array(segment, { minLength: 1, maxLength: 6 })
  .map((segments) => segments.join('/'))
  .filter((path) => !path.split('/').some((part) => part === '.' || part === '..'));
const files = fc.uniqueArray(fc.tuple(paths, fc.uint8Array({ maxLength: 1500 })), {
  maxLength: 5,
  selector: ([path]) => path,
});

describe('an archive', () => {
  it('is as long as was told beforehand, and comes back as it was packed, however its bytes arrive', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.array(fc.nat(), { maxLength: 10 }), async (entries, at) => {
        const archive = await bytesOf(packTar(entries.map(([path, body]) => fileOf(path, body))));
        expect(tarBytes(entries.map(([path, body]) => fileOf(path, body)))).toBe(archive.length);
        expect(await unpacked(byteStream(split(archive, at)))).toEqual(
          entries.map(([path, body]) => ({
            path,
            kind: 'file',
            sizeBytes: body.length,
            body: Buffer.from(body).toString('latin1'),
          })),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('is an error wherever it is cut, to one who skips its content too', async () => {
    const archive = await bytesOf(packTar([fileOf('a', 'x'.repeat(700)), fileOf('é', 'y')]));
    for (let at = 0; at < archive.length; at += 1) {
      const cut = archive.subarray(0, at);
      await expect(unpacked(cut)).rejects.toMatchObject({
        code: 'invalid_argument',
        message: 'The archive is cut: its end is missing.',
      });
      const skipping = async (): Promise<void> => {
        for await (const entry of unpackTar(cut, bounds)) void entry;
      };
      await expect(skipping()).rejects.toMatchObject({ code: 'invalid_argument' });
    }
  });

  it('fails when a body is not as long as announced', async () => {
    const packed = (sizeBytes: number): Promise<Buffer> =>
      bytesOf(packTar([{ ...fileOf('a', 'four'), sizeBytes }, fileOf('b', '')]));
    await expect(packed(3)).rejects.toThrow('more bytes than the 3');
    await expect(packed(5)).rejects.toThrow('fewer bytes than the 5');
  });

  it('fails when a body or the list of files fails', async () => {
    const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('lost')) });
    await expect(bytesOf(packTar([{ ...fileOf('a', 'four'), body: broken }]))).rejects.toThrow('lost');
    const list = async function* (): AsyncGenerator<FileToPack> {
      yield fileOf('a', 'x');
      throw new Error('no list');
    };
    await expect(bytesOf(packTar(list()))).rejects.toThrow('no list');
  });

  it('given up by its reader cancels the body that it was reading', async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
      cancel: () => {
        cancelled = true;
      },
    });
    const reader = packTar([{ ...fileOf('a', ''), sizeBytes: 1e9, body }]).getReader();
    await reader.read();
    await reader.read();
    await reader.cancel();
    expect(cancelled).toBe(true);
  });

  it('is read no faster than its entries', async () => {
    let asked = 0;
    const pieces = function* (): Generator<Uint8Array> {
      yield fileHeader({ path: 'a', sizeBytes: 1e9, modifiedAtMs: 0, mode: 0o644 });
      for (; ; asked += 1) yield new Uint8Array(64 * 1024);
    };
    const entries = unpackTar(byteStream(pieces()), bounds);
    const { value: entry } = await entries.next();
    await entry?.body[Symbol.asyncIterator]().next();
    expect(asked).toBeLessThan(4);
    await entries.return();
  });
});

describe('GNU tar', () => {
  it('unpacks what is packed here', async () => {
    const long = `${'deep/'.repeat(30)}näme ${'x'.repeat(120)}.txt`;
    const target = mkdtempSync(join(directory, 'target-'));
    const large = new Uint8Array(3 * 1024 * 1024).fill(7);
    writeFileSync(
      join(directory, 'ours.tar'),
      await bytesOf(
        packTar([
          fileOf('a.txt', 'hello'),
          { ...fileOf('bin/run', '#!'), mode: 0o755 },
          fileOf(long, 'deep'),
          fileOf('large', large),
          fileOf('empty', ''),
        ]),
      ),
    );
    gnuTar('--warning=no-timestamp', '-xf', 'ours.tar', '-C', target);
    expect(readFileSync(join(target, 'a.txt'), 'utf8')).toBe('hello');
    expect(statSync(join(target, 'a.txt')).mtimeMs).toBe(1_700_000_000_000);
    expect(statSync(join(target, 'bin/run')).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(target, long), 'utf8')).toBe('deep');
    expect(readFileSync(join(target, 'large')).equals(large)).toBe(true);
    expect(statSync(join(target, 'empty')).size).toBe(0);
  });

  it.each(['gnu', 'pax', 'ustar', 'v7', 'oldgnu'])('packs in its format %s what is unpacked here', async (format) => {
    const source = mkdtempSync(join(directory, 'source-'));
    const long = format === 'v7' || format === 'ustar' ? 'n'.repeat(90) : 'é'.repeat(110);
    mkdirSync(join(source, 'd'));
    writeFileSync(join(source, 'd', 'a'), 'hello');
    writeFileSync(join(source, 'd', long), 'x'.repeat(10_000));
    symlinkSync('a', join(source, 'd', 'link'));
    const archive = gnuTar('--sort=name', `--format=${format}`, '-cf', '-', '-C', source, '.');
    expect(await unpacked(byteStream(split(archive, [100, 3000])))).toEqual(
      [
        { path: 'd', kind: 'directory', sizeBytes: 0, body: '' },
        { path: 'd/a', kind: 'file', sizeBytes: 5, body: 'hello' },
        { path: 'd/link', kind: 'symlink', sizeBytes: 0, body: '' },
        { path: `d/${long}`, kind: 'file', sizeBytes: 10_000, body: 'x'.repeat(10_000) },
      ].sort((a, b) => (Buffer.from(a.path) < Buffer.from(b.path) ? -1 : 1)),
    );
  });

  it.each(['gnu', 'pax'])(
    'marks links and holes in its format %s, which are neither files nor read as content',
    async (format) => {
      const source = mkdtempSync(join(directory, 'sparse-'));
      writeFileSync(join(source, 'a'), 'start');
      truncateSync(join(source, 'a'), 4 * 1024 * 1024);
      writeFileSync(join(source, 'b'), 'b');
      linkSync(join(source, 'b'), join(source, 'c'));
      const packed = ['-C', source, 'a', 'b', 'c', '-C', '/dev', 'null'];
      const archive = gnuTar('--sparse', `--format=${format}`, '-cf', '-', ...packed);
      const entries = await unpacked(archive);
      expect(entries).toMatchObject([
        { kind: 'other' },
        { path: 'b', kind: 'file', body: 'b' },
        { path: 'c', kind: 'other' },
        { path: 'null', kind: 'other' },
      ]);
    },
  );

  it('lists a file of 9 GiB whose size needs an extended header', async () => {
    const sizeBytes = 9 * 1024 ** 3;
    const header = fileHeader({ path: 'huge', sizeBytes, modifiedAtMs: 0, mode: 0o644 });
    const entries = unpackTar(header, bounds);
    expect((await entries.next()).value).toMatchObject({ path: 'huge', sizeBytes });
    await entries.return();
    const listing = spawn('tar', ['-tvf', '-']);
    listing.stdin.on('error', () => undefined).end(header);
    expect((await bytesOf(listing.stdout)).toString()).toContain(`${sizeBytes}`);
  });
});

describe('the agent in the sandbox', () => {
  const long = `deep/${'é'.repeat(100)}/${'x'.repeat(150)}`;

  it('writes what is unpacked here', async () => {
    const base = { mode: 0o644, modifiedAtSeconds: 1.5, linkPath: Buffer.alloc(0) };
    const archive = Buffer.concat([
      encodeEntry({ ...base, type: 'directory', path: Buffer.from('deep/'), sizeBytes: 0 }),
      encodeEntry({ ...base, type: 'file', path: Buffer.from(long), sizeBytes: 4 }),
      Buffer.from('deep'.padEnd(512, '\0')),
      encodeEntry({ ...base, type: 'symlink', path: Buffer.from('link'), sizeBytes: 0, linkPath: Buffer.from(long) }),
      Buffer.alloc(1024),
    ]);
    expect(await unpacked(archive)).toMatchObject([
      { path: 'deep', kind: 'directory' },
      { path: long, kind: 'file', body: 'deep' },
      { path: 'link', kind: 'symlink' },
    ]);
  });

  it('reads what is packed here', async () => {
    const sizeBytes = 9 * 1024 ** 3;
    const blocks = fileHeader({ path: long, sizeBytes, modifiedAtMs: 1_700_000_000_000, mode: 0o755 });
    const extended = decodeHeader(blocks.subarray(0, 512));
    expect(extended?.typeflag).toBe('x');
    const records = decodePax(blocks.subarray(512, 512 + (extended?.sizeBytes ?? 0)));
    expect(Object.fromEntries(records)).toEqual({ path: long, size: `${sizeBytes}` });
    expect(decodeHeader(blocks.subarray(-512))).toMatchObject({
      typeflag: '0',
      mode: 0o755,
      modifiedAtSeconds: 1_700_000_000,
    });
  });
});

describe('a bad archive is refused with its reason', () => {
  const packed = (path: string): Promise<Buffer> => bytesOf(packTar([fileOf(path, 'x')]));
  it.each([
    ['../a', 'outside the target'],
    ['a/../../b', 'outside the target'],
    ['/etc/passwd', 'absolute path'],
    ['a\0b'.repeat(60), 'NUL'],
    ['x'.repeat(4097), 'more than 4096 bytes'],
    ['./.', 'without a name'],
  ])('the path «%.40s»', async (path, message) => {
    await expect(packed(path).then((archive) => unpacked(archive))).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(message),
    });
  });

  const rewritten = (archive: Buffer, change: (header: Buffer) => void): Buffer => {
    const copy = Buffer.from(archive);
    change(copy);
    copy.fill(' ', 148, 156);
    copy.write(
      copy
        .subarray(0, 512)
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(7, '0'),
      148,
    );
    return copy;
  };

  it('one with damage', async () => {
    const archive = await packed('a');
    const damaged = Buffer.from(archive);
    damaged[0] = 98;
    await expect(unpacked(damaged)).rejects.toMatchObject({
      message: 'The archive has a header with a wrong checksum.',
    });
    await expect(unpacked(rewritten(archive, (header) => header.write('9', 130)))).rejects.toMatchObject({
      message: expect.stringContaining('damaged number'),
    });
    await expect(unpacked(rewritten(archive, (header) => header.writeUInt8(0xff, 0)))).rejects.toMatchObject({
      message: expect.stringContaining('not UTF-8'),
    });
    await expect(unpacked(rewritten(archive, (header) => header.write('x', 156)))).rejects.toMatchObject({
      message: expect.stringContaining('damaged extended header'),
    });
    await expect(unpacked(Buffer.concat([archive.subarray(0, 1536), archive]))).rejects.toMatchObject({
      message: expect.stringContaining('goes on after its end'),
    });
  });

  it('one of too many entries, too much content or too large a header', async () => {
    const archive = await bytesOf(packTar([fileOf('a', 'x'), fileOf('b', 'y')]));
    await expect(unpacked(archive, { entriesMax: 1 })).rejects.toMatchObject({
      message: 'The archive has more than 1 entries.',
    });
    await expect(unpacked(archive, { contentBytesMax: 1 })).rejects.toMatchObject({
      message: expect.stringContaining('more than 1 bytes of content'),
    });
    const header = rewritten(archive, (block) => {
      block.write('x', 156);
      block.write('00010000000', 124);
    });
    await expect(unpacked(header)).rejects.toMatchObject({
      message: expect.stringContaining('extended header of more than'),
    });
    const endless = Buffer.concat([archive, Buffer.alloc(2 * 1024 * 1024)]);
    await expect(unpacked(endless)).rejects.toMatchObject({ message: expect.stringContaining('after its end') });
  });
});
