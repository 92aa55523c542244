import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openArchive, packArchive } from '../../runner/snapshots/archive.ts';
import { LayerGuard } from '../../runner/snapshots/layer-guard.ts';

const run = promisify(execFile);
const key = randomBytes(32);
const roomy = { bytes: 64 * 1024 * 1024, entries: 1000 };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gbx-archive-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function* pieces(bytes: Uint8Array, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const collect = async (source: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
};
const tar = async (...options: string[]): Promise<Buffer> => {
  const { stdout } = await run('tar', ['-c', ...options], {
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
    cwd: folder,
  });
  return stdout;
};
const guarded = (bytes: Uint8Array, limits = roomy): Promise<Buffer> =>
  collect(new LayerGuard(limits).watch(pieces(bytes)));
const refused = { code: 'snapshot_corrupt' };

describe('a layer that passes the guard', () => {
  test('is what a walk gives: long names, links, holes, extended attributes, files of any size, unchanged', async () => {
    await mkdir(join(folder, 'a'.repeat(200), 'b'.repeat(200)), { recursive: true });
    await writeFile(join(folder, 'a'.repeat(200), 'b'.repeat(200), `odd\nname ${'c'.repeat(150)}`), 'x'.repeat(1234));
    await symlink('/etc/passwd', join(folder, 'link'));
    await writeFile(join(folder, 'large'), randomBytes(300_000));
    await run('truncate', ['-s', '9G', join(folder, 'hole')]);
    await run('ln', [join(folder, 'large'), join(folder, 'same')]);
    await run('mkfifo', [join(folder, 'pipe')]);
    const bytes = await tar('--format=posix', '--sparse', '.');
    expect((await guarded(bytes)).equals(bytes)).toBe(true);
  });

  test.each([
    ['a name that begins at the root', ['-P', '/etc/hostname']],
    ['a name that leads upwards', ['-P', '../../etc/hostname']],
    ['a device', ['-P', '--transform=s,.*,x,', '/dev/null']],
    [
      'another tar format’s entry types',
      ['--format=gnu', `--transform=s,.*,${'n'.repeat(150)},`, '-P', '/etc/hostname'],
    ],
  ])('has not %s', async (_what, options) => {
    await expect(guarded(await tar(...options))).rejects.toMatchObject(refused);
  });

  test('has no hard link to elsewhere', async () => {
    await writeFile(join(folder, 'a'), '');
    await run('ln', ['a', 'b'], { cwd: folder });
    const bytes = await tar('--format=posix', '-P', '--transform=s,^a$,../a,h', 'a', 'b');
    await expect(guarded(bytes)).rejects.toMatchObject(refused);
  });

  test('ends where a tar ends', async () => {
    await writeFile(join(folder, 'a'), 'content');
    const bytes = await tar('--format=posix', 'a');
    for (const cut of [0, 100, 512, 1024]) {
      await expect(guarded(bytes.subarray(0, cut))).rejects.toMatchObject(refused);
    }
    await expect(guarded(Buffer.concat([bytes, bytes]))).rejects.toMatchObject(refused);
    await expect(guarded(Buffer.concat([bytes, Buffer.alloc(128 * 512)]))).rejects.toMatchObject(refused);
  });

  test('has no more bytes and entries than a sandbox may', async () => {
    for (let count = 0; count < 20; count++) await writeFile(join(folder, `f${count}`), randomBytes(1000));
    const bytes = await tar('--format=posix', '.');
    const tooLarge = { code: 'snapshot_too_large' };
    await expect(guarded(bytes, { bytes: bytes.length - 1, entries: 1000 })).rejects.toMatchObject(tooLarge);
    await expect(guarded(bytes, { bytes: bytes.length, entries: 20 })).rejects.toMatchObject(tooLarge);
    expect(await guarded(bytes, { bytes: bytes.length, entries: 21 })).toHaveLength(bytes.length);
  });
});

describe('an archive', () => {
  const pack = async (layer: Uint8Array, env = {}): Promise<Buffer> =>
    collect(
      packArchive(
        key,
        { env, memory: null },
        { layer: pieces(layer, 50_000), memory: undefined },
        new LayerGuard(roomy),
      ),
    );

  test('gives back its environment and its layer', async () => {
    await writeFile(join(folder, 'a'), randomBytes(2_000_000));
    const layer = await tar('--format=posix', 'a');
    const opened = await openArchive(key, pieces(await pack(layer, { TOKEN: 'ünïcode' }), 50_000), roomy);
    expect(opened.head.env).toEqual({ TOKEN: 'ünïcode' });
    expect((await collect(opened.layer)).equals(layer)).toBe(true);
  });

  const memory = {
    hostname: '0a1b2c3d4e5f',
    network: 'on' as const,
    confinement: 'c',
    processor: 'x64-0',
    images: [{ name: 'pages-1.img', sizeBytes: 3_000_000 }],
    processes: [{ processId: 'a'.repeat(32), timeoutMs: 12.5 }],
  };
  const packBoth = (layer: Uint8Array, bytes: Uint8Array): Promise<Buffer> => {
    const content = { layer: pieces(layer, 65_536), memory: pieces(bytes, 2_500_000) };
    return collect(packArchive(key, { env: {}, memory }, content, new LayerGuard(roomy)));
  };

  test('gives back the memory after its layer, and the layer where nobody wants the memory', async () => {
    await writeFile(join(folder, 'a'), randomBytes(200_000));
    const layer = await tar('--format=posix', 'a');
    const bytes = randomBytes(3_000_000);
    const sealed = await packBoth(layer, bytes);
    const opened = await openArchive(key, pieces(sealed, 50_000), roomy);
    expect(opened.head.memory).toEqual(memory);
    expect((await collect(opened.layer)).equals(layer)).toBe(true);
    expect((await collect(opened.memory)).equals(bytes)).toBe(true);
    const again = await openArchive(key, pieces(sealed, 50_000), roomy);
    expect((await collect(again.layer)).equals(layer)).toBe(true);
    await again.close();
  });

  test('whose end was cut off gives no memory', async () => {
    const sealed = await packBoth(await tar('--format=posix', '-T', '/dev/null'), randomBytes(3_000_000));
    for (const cut of [1, 16, 300_000, 2_000_000]) {
      const opened = await openArchive(key, pieces(sealed.subarray(0, sealed.length - cut), 50_000), roomy);
      await collect(opened.layer);
      await expect(collect(opened.memory)).rejects.toMatchObject(refused);
    }
  });

  test('whose layer fails while it is packed fails with it', async () => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(512);
      throw new Error('tar ended with 2');
    };
    const content = { layer: failing(), memory: undefined };
    const packing = collect(packArchive(key, { env: {}, memory: null }, content, new LayerGuard(roomy)));
    await expect(packing).rejects.toThrow('tar ended with 2');
  });

  test('that was changed is refused at the latest where it ends', async () => {
    await writeFile(join(folder, 'a'), randomBytes(600_000));
    const sealed = await pack(await tar('--format=posix', 'a'));
    sealed[sealed.length - 5] = (sealed[sealed.length - 5] ?? 0) ^ 1;
    const opened = await openArchive(key, pieces(sealed, 50_000), roomy);
    await expect(collect(opened.layer)).rejects.toMatchObject(refused);
    await expect(openArchive(randomBytes(32), pieces(sealed, 50_000), roomy)).rejects.toMatchObject(refused);
  });

  test('that is a bomb is given up at the limit', async () => {
    await run('truncate', ['-s', '40M', 'zeros'], { cwd: folder });
    const sealed = await pack(await tar('--format=posix', 'zeros'));
    expect(sealed.length).toBeLessThan(100_000);
    const opened = await openArchive(key, pieces(sealed), { bytes: 1024 * 1024, entries: 10 });
    await expect(collect(opened.layer)).rejects.toMatchObject({ code: 'snapshot_too_large' });
  });
});
